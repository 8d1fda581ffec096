import { cpSync, mkdirSync, readFileSync, realpathSync, statSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { command } from './command.ts';
import { keptArchive, rootFiles } from './image.ts';
import { programs } from './node.ts';

/** The image that deploy/kube-flannel.yml names. */
export const daemonImageName = 'flannelette:0.1.0';

/** A docker archive of it, from what was built here and this machine's libraries and iptables. */
export async function daemonArchive(): Promise<string> {
  const iptables = realpathSync('/usr/sbin/iptables-save');
  const bundles = ['cni-tool', 'flannel', 'flanneld'].map((program) => `flannelette/${program}.js`);
  const inputs = ['flannel', 'flanneld', 'flannelette/binding.node', ...bundles].map((file) =>
    readFileSync(path.join(programs, file)),
  );
  return keptArchive(daemonImageName, [...inputs, iptables], async (root) => {
    await rootFiles(root);
    for (const file of ['flannel', 'flanneld', 'flannelette'])
      cpSync(path.join(programs, file), path.join(root, 'opt/flannelette', file), { recursive: true });
    const needed = [path.join(programs, 'flannelette/node'), iptables];
    for (const library of (await Promise.all(needed.map(libraries))).flat()) copyInto(root, library);
    copyInto(root, iptables);
    copyInto(root, '/usr/lib/x86_64-linux-gnu/xtables');
    for (const link of ['iptables', 'ip6tables'].flatMap((tool) => [`${tool}-save`, `${tool}-restore`]))
      symlinkSync(path.basename(iptables), path.join(root, 'usr/sbin', link));
  });
}

/** What the dynamic linker loads for a program. */
async function libraries(program: string): Promise<string[]> {
  const lines = (await command('ldd', [program])).split('\n');
  return lines.map((line) => /(\/\S+) \(0x/.exec(line)?.[1]).filter((file) => file !== undefined);
}

/** Under the same path, with what a link stands for. */
function copyInto(root: string, file: string): void {
  const to = path.join(root, file);
  mkdirSync(path.dirname(to), { recursive: true });
  cpSync(realpathSync(file), to, { recursive: statSync(file).isDirectory(), dereference: true });
}
