// The first file system of the emulated machine: busybox, the modules that reach this machine's disk, and init.sh.
import { execFileSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { environment } from '../step.mjs';

/** What init.sh needs before it sees this machine's files: its disk over virtio, and a layer to write on. */
const modules = ['virtio_pci', '9pnet_virtio', '9p', 'overlay'];

/** The archive, as bytes. */
export function initrd({ version, modules: moduleRoot }) {
  const files = modules.flatMap((name) => withDependencies(name, version, moduleRoot));
  const unique = [...new Set(files)];
  const archive = new Archive();
  for (const directory of ['bin', 'dev', 'lower', 'modules', 'new', 'proc', 'rw', 'sbin', 'sys']) {
    archive.directory(directory);
  }
  archive.file('bin/busybox', readFileSync('/bin/busybox'));
  archive.file('init', readFileSync(path.join(directoryOfThis(), 'init.sh')));
  archive.file('sbin/modprobe', readFileSync(path.join(directoryOfThis(), 'modprobe.sh')));
  for (const file of unique) archive.file(`modules/${path.basename(file)}`, readFileSync(file));
  archive.file('modules/order', Buffer.from(unique.map((file) => `${path.basename(file)}\n`).join('')));
  // The machine finds this disk under /lower, where an absolute link leads elsewhere.
  archive.file('modules/root', Buffer.from(`${realpathSync(moduleRoot)}/lib/modules/${version}\n`));
  return archive.finish();
}

const directoryOfThis = () => path.dirname(new URL(import.meta.url).pathname);

/** The files of a module in the order in which they are loaded. */
function withDependencies(name, version, moduleRoot) {
  const args = ['--dirname', moduleRoot, '--set-version', version, '--show-depends', name];
  const listed = execFileSync('modprobe', args, { env: environment(), encoding: 'utf8' });
  return [...listed.matchAll(/^insmod (\S+)/gm)].map((match) => match[1]);
}

/** A cpio archive of the kind "newc", which the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format). */
class Archive {
  #parts = [];
  #inode = 1;

  directory(name) {
    this.#entry(name, 0o040755, Buffer.alloc(0));
  }

  file(name, data) {
    this.#entry(name, 0o100755, data);
  }

  finish() {
    this.#entry('TRAILER!!!', 0, Buffer.alloc(0));
    return Buffer.concat(this.#parts);
  }

  #entry(name, mode, data) {
    // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    const fields = [this.#inode++, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`;
    this.#append(Buffer.from(header));
    this.#append(data);
  }

  /** Everything begins at a multiple of four. */
  #append(data) {
    const padding = (4 - (data.length % 4)) % 4;
    this.#parts.push(data, Buffer.alloc(padding));
  }
}
