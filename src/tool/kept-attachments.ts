import { Refusal } from './refusal.ts';

/** A container ID, and an interface as the kernel may name it. */
const attachment = /^(?<containerID>[a-zA-Z0-9][a-zA-Z0-9_.-]*)(?:\/(?<ifname>[^/:\s]{1,15}))?$/u;

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
  return keep.map((entry) => {
    const { containerID, ifname = 'eth0' } = attachment.exec(entry)?.groups ?? {};
    if (containerID !== undefined) return { containerID, ifname };
    throw new Refusal(
      `--keep ${JSON.stringify(entry)} names no attachment: write ID, or ID/IFNAME, without blanks; nothing was removed`,
    );
  });
}
