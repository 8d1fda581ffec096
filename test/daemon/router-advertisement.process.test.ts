import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createNetns, type Netns } from '../kit/netns.ts';
import { Cluster, until } from './cluster.ts';

/** A node that has one more way out: a link with a router that advertises itself. */

let cluster: Cluster;
let router: Netns;
let node: Netns;

beforeEach(async () => {
  cluster = await Cluster.start('dual', 1);
  const [first] = cluster.nodes;
  if (first === undefined) throw new Error('a cluster without nodes');
  node = first;
  router = createNetns();
  execFileSync('cc', [
    '-o',
    cluster.file('advertise'),
    path.join(import.meta.dirname, 'router-advertisement.c'),
  ]);
  for (const sysctl of ['all.forwarding=0', 'default.accept_ra=1', 'default.accept_dad=0']) {
    await node.exec('sysctl', '-qw', `net.ipv6.conf.${sysctl}`);
  }
  await node.exec('sysctl', '-qw', 'net.ipv4.ip_forward=0');
  await router.exec('sysctl', '-qw', 'net.ipv6.conf.default.accept_dad=0');
  await node.exec('ip', 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'lan', 'netns', router.name);
  await router.exec('ip', 'link', 'set', 'lan', 'up');
  await node.exec('ip', 'link', 'set', 'uplink', 'up');
  await until(async () => (await advertise()) && (await hasRoute()));
});

afterEach(async () => {
  router.remove();
  await cluster.stop();
});

const advertise = () =>
  router.exec(cluster.file('advertise'), 'lan').then(
    () => true,
    () => false,
  );
const hasRoute = async () =>
  (await node.exec('ip', '-6', 'route', 'show', 'default', 'proto', 'ra')).includes('uplink');
const sysctl = async (name: string) => (await node.exec('sysctl', '-n', name)).trim();

test('with --manage-accept-ra the node forwards, keeps the route and hears the router again', async () => {
  await cluster.run(0, { args: ['--manage-accept-ra'] });
  expect(await sysctl('net.ipv6.conf.all.forwarding')).toBe('1');
  expect(await sysctl('net.ipv4.ip_forward')).toBe('1');
  expect(await sysctl('net.ipv6.conf.uplink.accept_ra')).toBe('2');
  expect(await hasRoute()).toBe(true);
  await node.exec('ip', '-6', 'route', 'del', 'default', 'proto', 'ra');
  await until(async () => (await advertise()) && (await hasRoute()));
});

test('without it the route is not endangered by flanneld, which says what will happen', async () => {
  await cluster.run(0);
  expect(await sysctl('net.ipv6.conf.all.forwarding')).toBe('0');
  expect(await sysctl('net.ipv4.ip_forward')).toBe('1');
  expect(await hasRoute()).toBe(true);
  expect(cluster.logs.get(0)).toMatch(
    /uplink has its IPv6 default route from router advertisements, .*--manage-accept-ra/,
  );
  // What it says is what the kernel does.
  await node.exec('sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1');
  await until(async () => !(await hasRoute()));
  await advertise();
  expect(await hasRoute()).toBe(false);
});

test('a host that may not be written to is no reason to end', async () => {
  const readOnly = [
    'unshare',
    '-m',
    'sh',
    '-c',
    'mount -o remount,bind,ro /proc/sys 2>/dev/null || { mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys; }; exec "$@"',
    'sh',
  ];
  await cluster.run(0, { before: readOnly, args: ['--manage-accept-ra'] });
  expect(fs.existsSync(cluster.file('0.env'))).toBe(true);
  expect(cluster.logs.get(0)).toMatch(
    /net\.ipv4\.ip_forward must be 1 and cannot be set from here \(EROFS\)/,
  );
  expect(cluster.logs.get(0)).not.toContain('"msg":"sysctls"'); // none was set
  expect(await sysctl('net.ipv6.conf.uplink.accept_ra')).toBe('1');
});
