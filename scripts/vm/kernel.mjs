// Debian's own kernel for the emulated machine: fetched, never installed. It is kept in .cache/vm/<version>.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Refusal, environment, root } from '../step.mjs';

const cache = path.join(root, '.cache/vm');

/** { version, directory, vmlinux, modules }: `modules` is what modprobe calls its root. Throws a Refusal. */
export function fetchKernel() {
  const dependencies = output('apt-cache', ['depends', 'linux-image-amd64']);
  const name = /Depends: (linux-image-\S+)/.exec(dependencies)?.[1];
  if (name === undefined) throw new Refusal('apt knows no linux-image-amd64: run "apt-get update" first.');
  const version = name.replace('linux-image-', '');
  const directory = path.join(cache, version);
  const kernel = {
    version,
    directory,
    vmlinux: path.join(directory, 'vmlinux'),
    modules: path.join(directory, 'root'),
  };
  if (!existsSync(kernel.vmlinux)) unpack(name, kernel);
  return kernel;
}

function unpack(name, { version, directory }) {
  const partial = `${directory}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(path.join(partial, 'root'), { recursive: true });
  console.log(`Fetching Debian's kernel ${version} for the emulated machine (not installed) ...`);
  output('apt-get', ['-o', 'APT::Sandbox::User=root', 'download', name], partial);
  const archive = readdirSync(partial).find((file) => file.endsWith('.deb'));
  output('dpkg-deb', ['--extract', archive, 'root'], partial);
  rmSync(path.join(partial, archive));
  output('depmod', ['--basedir', path.join(partial, 'root'), version]);
  const image = readFileSync(path.join(partial, 'root/boot', `vmlinuz-${version}`));
  writeFileSync(path.join(partial, 'vmlinux'), uncompressed(image));
  rmSync(directory, { recursive: true, force: true });
  renameSync(partial, directory);
}

/** How kernels are packed: the first bytes, and who unpacks what follows them. */
const packings = [
  { magic: 'fd377a585a00', command: ['xz', '--decompress', '--stdout', '--single-stream'] },
  { magic: '28b52ffd', command: ['zstd', '--decompress', '--stdout'] },
  { magic: '1f8b08', command: ['gzip', '--decompress', '--stdout'] },
];

/**
 * The ELF file inside a bzImage. The emulator boots it directly, in a third of the time that the image needs to
 * unpack itself.
 */
function uncompressed(image) {
  for (const { magic, command } of packings) {
    const bytes = Buffer.from(magic, 'hex');
    for (let at = image.indexOf(bytes); at !== -1; at = image.indexOf(bytes, at + 1)) {
      const [program, ...args] = command;
      const { stdout } = spawnSync(program, args, { input: image.subarray(at), maxBuffer: 1 << 30 });
      if (stdout?.length > 1_000_000 && stdout.readUInt32BE(0) === 0x7f454c46) return stdout;
    }
  }
  throw new Refusal('The kernel image is packed in a way that is not known here.');
}

function output(program, args, cwd = root) {
  try {
    return execFileSync(program, args, {
      cwd,
      env: environment(),
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (error) {
    throw new Refusal(`${program} ${args[0]} failed: ${String(error.stderr ?? error.message).trim()}`);
  }
}
