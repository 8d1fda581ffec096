// A second machine with the kernel features that this one may lack (WireGuard, ipip, 8021q, bond, bridge VLAN filtering,
// netem): Debian's kernel, emulated, with this machine's files as its root. Up in a few seconds.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Refusal, main, root, run } from '../step.mjs';
import { fetchKernel } from './kernel.mjs';
import { initrd } from './initrd.mjs';

const emulator = 'qemu-system-x86_64';

/** Why there can be no such machine here, or undefined. */
export const impossible = () =>
  process.arch === 'x64' ? undefined : `the emulated machine is x64, and this one is ${process.arch}`;

/**
 * Runs a bash script as root in a new machine and shows what it prints. `results` is a directory of this machine's
 * that the script sees as /tmp/vm. Answers the script's exit status; 124 when `limit` (seconds) is over.
 */
export async function runInMachine(script, { results, limit = 300, memory = 1536 } = {}) {
  const kernel = fetchKernel();
  const shared = results ?? mkdtempSync(path.join(tmpdir(), 'fl-vm-'));
  try {
    mkdirSync(shared, { recursive: true });
    const image = path.join(kernel.directory, `initrd.${process.pid}`);
    writeFileSync(image, initrd(kernel));
    writeFileSync(path.join(shared, 'command'), script);
    writeFileSync(path.join(shared, 'tree'), `${root}\n`);
    rmSync(path.join(shared, 'status'), { force: true });
    const { code } = await run(emulator, commandLine(kernel, image, shared, memory), { show: true, limit });
    rmSync(image, { force: true });
    return statusOf(shared) ?? (code === 0 ? 125 : 124);
  } finally {
    if (results === undefined) rmSync(shared, { recursive: true, force: true });
  }
}

function commandLine({ vmlinux }, image, shared, memory) {
  const disk = (tag, where, options) =>
    `local,path=${where},mount_tag=${tag},security_model=none${options === '' ? '' : `,${options}`}`;
  const plain = '-nodefaults -no-user-config -display none -no-reboot -M pc -cpu qemu64 -smp 2';
  const words = `${plain} -accel tcg,thread=multi -serial stdio -m ${memory}`.split(' ');
  const kernelLine = ['-kernel', vmlinux, '-initrd', image, '-append', 'console=ttyS0 quiet panic=-1'];
  const host = disk('host', '/', 'readonly=on,multidevs=remap');
  return [...words, ...kernelLine, '-virtfs', host, '-virtfs', disk('results', shared, '')];
}

function statusOf(shared) {
  try {
    return Number(readFileSync(path.join(shared, 'status'), 'utf8'));
  } catch {
    return undefined;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(() => {
    const script = process.argv.slice(2).join(' ');
    if (script === '')
      throw new Refusal('What shall it run? node scripts/vm/machine.mjs "modprobe wireguard; ip link"');
    return runInMachine(`cd ${root}\n${script}\n`);
  });
}
