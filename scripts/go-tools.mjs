// The reference programs of today (containerd 2, the CNI plugins), built by Go from the pins in e2e/go.mod and kept
// in .cache/e2e/<hash of the pins>, the plugins in cni/ below it: `bridge` is also a program of iproute2. They serve
// tests and benchmarks alone; without Go, Debian's older ones do.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { environment, root, run, seconds } from './step.mjs';

const flags = ['-trimpath', '-buildvcs=false', '-tags=no_btrfs,no_zfs,no_devmapper,no_aufs'];
const plugins = ['bandwidth', 'bridge', 'firewall', 'host-local', 'loopback', 'portmap', 'tuning'];
const cache = path.join(root, '.cache/e2e');
const file = (name) => readFileSync(path.join(root, 'e2e', name), 'utf8');

/** Builds what is missing; returns a sentence that says why the programs are not there, or undefined when they are. */
export async function buildGoTools() {
  const pins = createHash('sha256').update([file('go.mod'), file('go.sum'), ...flags].join('\0'));
  const to = path.join(cache, pins.digest('hex').slice(0, 16));
  if (!existsSync(path.join(to, 'complete'))) {
    const why = (await goIsMissing()) ?? (await build(to));
    if (why !== undefined) return why;
  }
  const current = path.join(cache, 'current');
  rmSync(current, { force: true });
  symlinkSync(path.basename(to), current);
  return undefined;
}

async function goIsMissing() {
  const wanted = /^go (\S+)$/m.exec(file('go.mod'))[1];
  const { code, output } = await run('go', ['env', 'GOVERSION'], { env: goEnvironment() });
  if (code !== 0) return `Go is not installed (e2e/go.mod asks for ${wanted})`;
  const found = output.trim().replace(/^go/, '');
  return compare(found, wanted) < 0 ? `Go is ${found}, e2e/go.mod asks for ${wanted}` : undefined;
}

function compare(a, b) {
  const [left, right] = [a, b].map((text) => text.split('.').map((part) => Number.parseInt(part, 10)));
  const at = [0, 1, 2].find((index) => (left[index] ?? 0) !== (right[index] ?? 0));
  return at === undefined ? 0 : (left[at] ?? 0) - (right[at] ?? 0);
}

async function build(to) {
  const pin = (module) => new RegExp(`\\s${module} (v\\S+)`).exec(file('go.mod'))[1];
  const containerd = pin('github.com/containerd/containerd/v2');
  const cni = pin('github.com/containernetworking/plugins');
  console.log(
    `Building containerd ${containerd} and the CNI plugins ${cni} with Go: once, a few minutes ...`,
  );
  const since = Date.now();
  const partial = `${to}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  const symbols = [
    `-X github.com/containerd/containerd/v2/version.Version=${containerd}`,
    `-X github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion=${cni}`,
  ];
  const args = ['build', '-v', ...flags, `-ldflags=-s -w ${symbols.join(' ')}`, '-o', `${partial}/`, 'tool'];
  const progress = new Progress(since);
  const { code, output } = await run('go', args, {
    cwd: path.join(root, 'e2e'),
    env: goEnvironment(),
    limit: 480,
    watch: (text) => progress.take(text),
  });
  progress.end();
  if (code !== 0) return `go build failed (exit ${code}): ${output.trim().split('\n').slice(-3).join(' ')}`;
  mkdirSync(path.join(partial, 'cni'));
  for (const name of plugins) renameSync(path.join(partial, name), path.join(partial, 'cni', name));
  writeFileSync(path.join(partial, 'complete'), `containerd ${containerd}, CNI plugins ${cni}\n`);
  rmSync(to, { recursive: true, force: true });
  renameSync(partial, to);
  console.log(`built in ${seconds(since)}`);
  return undefined;
}

/** What `go build -v` prints is a line for each module it fetches and each package it compiles: too many to show all. */
class Progress {
  #fetched = 0;
  #compiled = 0;
  #last = '';
  #timer;

  constructor(since) {
    this.#timer = setInterval(() => console.log(`  ${seconds(since).padStart(8)}  ${this.#line()}`), 5000);
  }

  take(text) {
    for (const line of text.split('\n').filter((part) => part.trim() !== '')) {
      if (line.startsWith('go: ')) this.#fetched += 1;
      else this.#compiled += 1;
      this.#last = line.replace('go: ', '');
    }
  }

  end() {
    clearInterval(this.#timer);
  }

  #line() {
    const fetched = this.#fetched > 0 ? `${this.#fetched} modules fetched, ` : '';
    return `${fetched}${this.#compiled} packages compiled, now ${this.#last}`;
  }
}

function goEnvironment() {
  return environment({ CGO_ENABLED: '0', GOTOOLCHAIN: 'local', GOWORK: 'off', GOFLAGS: '-mod=readonly' });
}
