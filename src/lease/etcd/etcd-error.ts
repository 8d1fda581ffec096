import { asObject, JsonError, parseJson } from '../../json/go-json.ts';

/** What a failure means for what follows. */
type Meaning =
  /** Another endpoint may do it. */
  | 'elsewhere'
  /** The token is not good any more: a new one has to be asked for. */
  | 'token'
  /** Users are not switched on in this etcd: no token is needed. */
  | 'no users'
  /** The answer is longer than what is read. */
  | 'too long'
  | 'refused';

/** etcd did not do it. The message is a sentence for the operator. */
export class EtcdError extends Error {
  override readonly name = 'EtcdError';
  readonly meaning: Meaning;

  constructor(message: string, meaning: Meaning, cause?: unknown) {
    super(message, { cause });
    this.meaning = meaning;
  }
}

/** As whom etcd was asked. */
export interface Asker {
  /** `https://10.0.0.1:2379` */
  readonly endpoint: string;
  /** `--etcd-username` */
  readonly user?: string;
}

/** An answer that is no success. `text` is its body. */
export function failureOf(status: number, text: string, asker: Asker): EtcdError {
  const said = messageIn(text);
  const { endpoint } = asker;
  if (said === undefined) {
    // etcd's own words, before the gateway comes to see the question.
    if (text.startsWith('CommonName of client')) return new EtcdError(noCommonNames(endpoint), 'refused');
    if (status === 404) return new EtcdError(noGateway(endpoint), 'elsewhere');
    return new EtcdError(
      `${endpoint} answers with HTTP status ${status}, and not as etcd does: is that etcd's client address?`,
      'elsewhere',
    );
  }
  return failureFor(said, status, asker);
}

/** What etcd said instead of doing it: in an answer, or as the reason why it ended a watch. */
export function failureFor(said: string, status: number, asker: Asker): EtcdError {
  const { endpoint, user } = asker;
  const meaning = meaningOf(said, status, asker);
  const hint = hintFor(said, asker);
  const as = user === undefined ? '' : ` for the user ${user}`;
  return new EtcdError(`etcd at ${endpoint} refuses${as}: ${said}${hint && `; ${hint}`}`, meaning);
}

function meaningOf(said: string, status: number, { user }: Asker): Meaning {
  if (said.includes('authentication is not enabled')) return 'no users';
  if (/invalid auth token|revision of auth store is old/.test(said)) return 'token';
  // It had no users when it was asked last.
  if (said.includes('user name is empty')) return user === undefined ? 'refused' : 'token';
  return status >= 500 || /no leader|request timed out|too many requests/.test(said)
    ? 'elsewhere'
    : 'refused';
}

function hintFor(said: string, { user }: Asker): string {
  if (said.includes('user name is empty') && user === undefined) {
    return 'it wants a user: give --etcd-username and --etcd-password';
  }
  if (said.includes('invalid user ID or password')) return 'look at --etcd-username and --etcd-password';
  if (said.includes('permission denied')) {
    return (
      'its role needs to read and write all below --etcd-prefix: ' +
      'etcdctl role grant-permission ROLE --prefix=true readwrite PREFIX/'
    );
  }
  if (said.includes('authentication handshake failed')) {
    return (
      "etcd's JSON gateway is a client of etcd itself and shows the server's certificate: " +
      'that one must be signed by --trusted-ca-file and allow client authentication'
    );
  }
  return '';
}

const noGateway = (endpoint: string): string =>
  `${endpoint} has no JSON gateway: start etcd with --enable-grpc-gateway=true ` +
  '(enable-grpc-gateway: true where it has a configuration file); it must be etcd 3.4 or later';

const noCommonNames = (endpoint: string): string =>
  `etcd at ${endpoint} has users, and cannot tell those of its JSON gateway by the common name in their certificates: ` +
  'give --etcd-username and --etcd-password, and with them an --etcd-certfile without a common name, or none where etcd wants none';

/** What the gateway says of an error; undefined when it is not the gateway that speaks. */
function messageIn(text: string): string | undefined {
  try {
    const { error, message } = asObject(parseJson(text, 'the answer'), 'the answer');
    const said = message ?? error;
    return typeof said === 'string' ? said.slice(0, 500) : undefined;
  } catch (error) {
    if (error instanceof JsonError) return undefined;
    throw error;
  }
}
