import { constants as os } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/** What the kernel says beside the number of an error (NETLINK_EXT_ACK). */
export interface ExtendedAck {
  /** NLMSGERR_ATTR_MSG. */
  readonly kernelSays?: string | undefined;
  /** The attribute that the kernel objects to, or misses: `IFLA_LINKINFO/IFLA_INFO_KIND`. */
  readonly attribute?: string | undefined;
}

/**
 * The kernel refused a request, or a socket did not do its part. The message says what was tried, the
 * error, and the kernel's own words: `RTM_NEWLINK: EEXIST (file already exists): ...`.
 */
export class NetlinkError extends Error {
  override readonly name = 'NetlinkError';
  /** Positive. */
  readonly errno: number;
  /** `EEXIST` */
  readonly code: string;
  /** `RTM_NEWROUTE`, or the system call that failed. */
  readonly request: string;
  readonly kernelSays: string | undefined;
  readonly attribute: string | undefined;

  constructor(request: string, errno: number, { kernelSays, attribute }: ExtendedAck = {}) {
    const code = errnoName(errno);
    const says = kernelSays === undefined ? '' : `: ${kernelSays}`;
    const where = attribute === undefined ? '' : ` (${attribute})`;
    super(`${request}: ${code} (${errnoText(errno)})${says}${where}`);
    this.errno = errno;
    this.code = code;
    this.request = request;
    this.kernelSays = kernelSays;
    this.attribute = attribute;
  }
}

/** Whether `error` is the kernel's refusal with one of these names. */
export function isNetlinkError(error: unknown, ...codes: string[]): error is NetlinkError {
  return error instanceof NetlinkError && (codes.length === 0 || codes.includes(error.code));
}

// The first name of a number wins: EAGAIN before EWOULDBLOCK, EOPNOTSUPP before ENOTSUP.
const names = new Map(
  Object.entries(os.errno)
    .toReversed()
    .map(([name, errno]) => [errno, name]),
);
names.set(os.errno.EOPNOTSUPP, 'EOPNOTSUPP');
names.set(os.errno.EAGAIN, 'EAGAIN');

const errnoName = (errno: number): string => names.get(errno) ?? `errno ${errno}`;

// Each call of getSystemErrorMap makes the map anew, and errors that are expected come with every pod.
let texts: ReturnType<typeof getSystemErrorMap> | undefined;

function errnoText(errno: number): string {
  texts ??= getSystemErrorMap();
  return texts.get(-errno)?.[1] ?? `see errno(3), number ${errno}`;
}
