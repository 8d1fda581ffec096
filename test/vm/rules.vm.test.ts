import { existsSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Cluster, until } from '../daemon/cluster.ts';
import { iptablesPage, nftablesPage, type Page } from '../firewall/rule-book.ts';
import { runProcess } from '../../src/firewall/process.ts';

/** What firewall rules and forwarding need of an older kernel, and of one that has its parts as modules. */

let cluster: Cluster;

beforeEach(async () => {
  cluster = await Cluster.start('v4', 1);
});
afterEach(() => cluster.stop());

const exec = (program: string, ...args: string[]) => cluster.nodes[0]?.exec(program, ...args) ?? '';
const start = async (EnableNFTables: boolean, before: string[] = []) => {
  cluster.configure({ ...cluster.configuration(), EnableNFTables });
  const child = cluster.launch(0, { args: ['--ip-masq'], before });
  // An emulated machine on a busy one takes its time.
  await until(() => {
    const log = cluster.logs.get(0) ?? '';
    if (child.exitCode !== null) throw new Error(log);
    return log.includes('ready: pods can be served');
  }, 60_000);
};
const page = (): Page => ({
  network: '10.244.0.0/16',
  subnet: `${cluster.subnet(0).replace(/\.1$/, '.0')}/24`,
  masquerade: true,
  forward: true,
  randomFully: true,
});

describe('rules', () => {
  test('by nftables are the book’s, are back, and are right at the next start', async () => {
    await start(true);
    const book = nftablesPage(page(), 'ours');
    const listed = () => exec('nft', 'list', 'table', 'ip', 'flannel-ipv4');
    expect(await listed()).toBe(book);
    await exec('nft', 'delete', 'table', 'ip', 'flannel-ipv4');
    await until(async () => (await exec('nft', 'list', 'tables')).includes('flannel-ipv4'), 60_000);
    expect(await listed()).toBe(book);
    // A table that is made anew has another handle.
    const handles = () => exec('nft', '-a', 'list', 'table', 'ip', 'flannel-ipv4');
    const before = await handles();
    await cluster.end(0, 'SIGTERM');
    await start(true);
    expect(await handles()).toBe(before);
  });

  test('by iptables are the book’s, and are back', async () => {
    await start(false);
    const saved = async () =>
      (await exec('iptables-save'))
        .split('\n')
        .filter((line) => /^(\*|-|:FLANNEL)/.test(line))
        .join('\n');
    const right = await saved();
    expect(right).toBe(iptablesPage(page()));
    await exec('iptables', '-t', 'nat', '-F', 'FLANNEL-POSTRTG');
    await until(async () => (await saved()) === right, 60_000);
  });
});

describe('br_netfilter', () => {
  const run = runProcess();
  const sysctl = '/proc/sys/net/bridge/bridge-nf-call-iptables';

  beforeEach(async () => {
    await run('modprobe', ['-r', 'br_netfilter']);
    expect(existsSync(sysctl)).toBe(false);
  });

  test('is loaded where it can be', async () => {
    await start(true);
    expect(existsSync(sysctl)).toBe(true);
    expect(cluster.logs.get(0)).not.toContain('br_netfilter is not loaded');
  });

  test('is missed in one sentence where it cannot', async () => {
    await start(true, ['setpriv', '--bounding-set=-sys_module']);
    expect(existsSync(sysctl)).toBe(false);
    expect(cluster.logs.get(0)).toMatch(
      /the kernel module br_netfilter is not loaded, and could not be: .*linux-modules-extra/,
    );
  });
});
