// Programs of others, built by Go from pins and kept in .cache/e2e/<hash of the pins>: the reference programs of today
// (containerd 2, the CNI plugins: e2e/go.mod) and Kubernetes (API server, controllers, scheduler, kubelet:
// e2e/kubernetes/go.mod). The plugins are in cni/ below it: `bridge` is also a program of iproute2. They serve tests and
// benchmarks alone; without Go, Debian's older ones do, and what needs Kubernetes is skipped.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { environment, root, run, seconds } from './step.mjs';

const cache = path.join(root, '.cache/e2e');
const plugins = ['bandwidth', 'bridge', 'firewall', 'host-local', 'loopback', 'portmap', 'tuning'];

const containerd = {
  module: 'e2e',
  link: 'current',
  flags: ['-trimpath', '-buildvcs=false', '-tags=no_btrfs,no_zfs,no_devmapper,no_aufs'],
  pins: { runtime: 'github.com/containerd/containerd/v2', cni: 'github.com/containernetworking/plugins' },
  title: ({ runtime, cni }) => `containerd ${runtime} and the CNI plugins ${cni}`,
  symbols: ({ runtime, cni }) => [
    `-X github.com/containerd/containerd/v2/version.Version=${runtime}`,
    `-X github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion=${cni}`,
  ],
  limit: 480,
  finish(directory) {
    mkdirSync(path.join(directory, 'cni'));
    for (const name of plugins) renameSync(path.join(directory, name), path.join(directory, 'cni', name));
  },
};

const kubernetes = {
  module: 'e2e/kubernetes',
  link: 'kubernetes',
  flags: ['-trimpath', '-buildvcs=false'],
  pins: { version: 'k8s.io/kubernetes' },
  title: ({ version }) => `Kubernetes ${version}`,
  // Without its version it takes itself for one of long ago, and refuses its own features.
  symbols: ({ version }) => {
    const [, major, minor] = /^v(\d+)\.(\d+)/.exec(version);
    const set = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' };
    return Object.entries(set).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`);
  },
  limit: 900,
  finish() {},
};

/** Build what is missing; each returns a sentence that says why the programs are not there, or undefined when they are. */
export const buildGoTools = () => provide(containerd);
export const buildKubernetes = () => provide(kubernetes);

const file = (module, name) => readFileSync(path.join(root, module, name), 'utf8');

async function provide(tools) {
  const { module, flags, link } = tools;
  const pins = createHash('sha256').update(
    [file(module, 'go.mod'), file(module, 'go.sum'), ...flags].join('\0'),
  );
  const to = path.join(cache, pins.digest('hex').slice(0, 16));
  if (!existsSync(path.join(to, 'complete'))) {
    const why = (await goIsMissing(module)) ?? (await build(tools, to));
    if (why !== undefined) return why;
  }
  const current = path.join(cache, link);
  rmSync(current, { force: true });
  symlinkSync(path.basename(to), current);
  return undefined;
}

async function goIsMissing(module) {
  const wanted = /^go (\S+)$/m.exec(file(module, 'go.mod'))[1];
  const { code, output } = await run('go', ['env', 'GOVERSION'], { env: goEnvironment() });
  if (code !== 0) return `Go is not installed (${module}/go.mod asks for ${wanted})`;
  const found = output.trim().replace(/^go/, '');
  return compare(found, wanted) < 0 ? `Go is ${found}, ${module}/go.mod asks for ${wanted}` : undefined;
}

function compare(a, b) {
  const [left, right] = [a, b].map((text) => text.split('.').map((part) => Number.parseInt(part, 10)));
  const at = [0, 1, 2].find((index) => (left[index] ?? 0) !== (right[index] ?? 0));
  return at === undefined ? 0 : (left[at] ?? 0) - (right[at] ?? 0);
}

async function build({ module, flags, pins, title, symbols, limit, finish }, to) {
  const pin = (name) => new RegExp(`\\s${name} (v\\S+)`).exec(file(module, 'go.mod'))[1];
  const versions = Object.fromEntries(Object.entries(pins).map(([name, path]) => [name, pin(path)]));
  console.log(`Building ${title(versions)} with Go: once, a few minutes ...`);
  const since = Date.now();
  const partial = `${to}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  const linking = `-ldflags=-s -w ${symbols(versions).join(' ')}`;
  const args = ['build', '-v', ...flags, linking, '-o', `${partial}/`, 'tool'];
  const progress = new Progress(since);
  const { code, output } = await run('go', args, {
    cwd: path.join(root, module),
    env: goEnvironment(),
    limit,
    watch: (text) => progress.take(text),
  });
  progress.end();
  if (code !== 0) return `go build failed (exit ${code}): ${output.trim().split('\n').slice(-3).join(' ')}`;
  finish(partial);
  writeFileSync(path.join(partial, 'complete'), `${title(versions)}\n`);
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
