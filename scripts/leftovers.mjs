// What a run of the tests must not leave behind on the machine.
import { existsSync, readFileSync, readdirSync } from 'node:fs';

/** Set for every child of a run, so that whatever descends from it can be told apart from others' processes. */
export const mark = 'FLANNELETTE_RUN';

/** What is there now that could be a leftover later: compared with a second look at the end. */
export function look() {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const groups = existsSync('/sys/fs/cgroup') ? readdirSync('/sys/fs/cgroup') : [];
  const below = groups.flatMap((name) => list(`/sys/fs/cgroup/${name}`).map((group) => `${name}/${group}`));
  return new Set([
    ...list('/run/netns').map((name) => `network namespace ${name}`),
    ...mounts.map((line) => `mount ${line.split(' ')[4]}`).filter((line) => /\/fl-/.test(line)),
    ...[...groups, ...below].filter((name) => /(^|\/)fl-/.test(name)).map((name) => `cgroup ${name}`),
  ]);
}

function list(directory) {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** The processes that descend from this run (their environment says so) and still live. */
function processes(run) {
  const ours = (pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`${mark}=${run}`);
    } catch {
      return false; // it has ended, or is a kernel thread
    }
  };
  const named = (pid) => {
    try {
      return `process ${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').slice(0, 80)}`;
    } catch {
      return `process ${pid}`;
    }
  };
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids.filter(ours).map(named);
}

/** What is there now and was not `before`. Ends take a moment to be visible, so it looks again for up to 5 s. */
export async function leftovers(before, run) {
  for (let attempt = 0; ; attempt++) {
    const found = [...[...look()].filter((thing) => !before.has(thing)), ...processes(run)];
    if (found.length === 0 || attempt === 50) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
