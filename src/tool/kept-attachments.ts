import { namePattern } from '../cni/environment.ts';
import { flawOf } from '../cni/attachment/link-name.ts';
import { Refusal } from './refusal.ts';

/** What `gc` is to leave. It removes whatever is not named, so nothing that was named by oversight, or not at all, may count as an answer. */
export function keptAttachments(
  keep: readonly string[],
  none: boolean,
): { containerID: string; ifname: string }[] {
  if (keep.length === 0 && !none) {
    throw new Refusal(
      'gc removes every attachment that is not listed as valid. List the valid ones with --keep ID/IFNAME (repeat it), or say --none to remove all',
    );
  }
  if (keep.length > 0 && none)
    throw new Refusal('--keep and --none contradict each other: nothing was removed');
  return keep.map(attachmentOf);
}

function attachmentOf(entry: string): { containerID: string; ifname: string } {
  const [containerID = '', ifname = 'eth0', more] = entry.split('/');
  const isWhole = namePattern.test(containerID) && ifname !== '' && more === undefined;
  if (isWhole && flawOf(ifname) === undefined) return { containerID, ifname };
  throw new Refusal(
    `--keep ${JSON.stringify(entry)} names no attachment: write ID, or ID/IFNAME, without blanks; nothing was removed`,
  );
}
