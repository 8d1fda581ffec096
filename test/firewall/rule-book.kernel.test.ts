import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { openLegacyKernel } from '../../src/firewall/legacy-kernel.ts';
import { NftKernel } from '../../src/firewall/nft-kernel.ts';
import { NodeFirewall } from '../../src/firewall/node-firewall.ts';
import type { NodeRulesInput } from '../../src/firewall/node-rules.ts';
import { runProcess } from '../../src/firewall/process.ts';
import { prefix } from '../../src/net/prefix.ts';
import * as k from '../../src/netlink/constants.ts';
import { SyncSession } from '../../src/netlink/session.ts';
import { openSocket } from '../../src/netlink/socket.ts';
import { systemClock } from '../../src/world/clock.ts';
import { silentLog } from '../../src/world/log.ts';
import { createNetns, type Netns } from '../kit/netns.ts';
import { iptablesPage, nftablesPage, type Page } from './rule-book.ts';

/** Networks with their first node's or another subnet, most of them ending at a byte, some not. */
const places = [
  { ipv4: ['10.244.0.0/16', '10.244.1.0/24'], ipv6: ['2001:cafe:42::/56', '2001:cafe:42:1::/64'] },
  { ipv4: ['10.42.0.0/16', '10.42.7.0/24'], ipv6: ['fd00:42::/48', 'fd00:42:0:7::/64'] },
  { ipv4: ['10.0.0.0/8', '10.200.16.0/20'], ipv6: ['fd00::/8', 'fd12:3456:789a::/112'] },
  { ipv4: ['172.16.0.0/12', '172.20.4.0/22'], ipv6: ['2001:db8:ff00::/44', '2001:db8:ff00:8::/61'] },
  { ipv4: ['192.168.96.0/19', '192.168.100.128/25'], ipv6: ['fd00:10:244::/50', 'fd00:10:244:1fff::/67'] },
] as const;

const choices = [
  { masquerade: true, forward: true, randomFully: true, ipv6Masq: true },
  { masquerade: true, forward: true, randomFully: false, ipv6Masq: true },
  { masquerade: true, forward: false, randomFully: true, ipv6Masq: true },
  { masquerade: false, forward: true, randomFully: true, ipv6Masq: true },
  { masquerade: true, forward: true, randomFully: true, ipv6Masq: false },
] as const;

interface Configuration {
  readonly title: string;
  readonly input: NodeRulesInput;
  /** What each family must show; undefined: nothing at all. */
  readonly pages: { readonly 4?: Page; readonly 6?: Page };
}

const configurations: Configuration[] = places.flatMap((place) =>
  (['v4', 'v6', 'dual'] as const).flatMap((families) =>
    choices.map(({ ipv6Masq, ...choice }): Configuration => {
      const v4 = families === 'v6' ? undefined : place.ipv4;
      const v6 = families === 'v4' ? undefined : place.ipv6;
      const pairs = [v4, v6].flatMap((pair) => (pair === undefined ? [] : [pair]));
      const page = ([network, subnet]: readonly [string, string], masquerade: boolean): Page => ({
        ...choice,
        network,
        subnet,
        masquerade,
      });
      const masquerade6 = choice.masquerade && ipv6Masq;
      return {
        title: `${families} ${pairs.flat().join(' ')} ${Object.entries({ ...choice, ipv6Masq })
          .flatMap(([name, on]) => (on ? [name] : []))
          .join(' ')}`,
        input: {
          forward: choice.forward,
          randomFully: choice.randomFully,
          masquerade: { 4: choice.masquerade, 6: masquerade6 },
          networks: pairs.map(([network]) => prefix(network)),
          subnets: pairs.map(([, subnet]) => prefix(subnet)),
        },
        pages: {
          ...(v4 && { 4: page(v4, choice.masquerade) }),
          ...(v6 && { 6: page(v6, masquerade6) }),
        },
      };
    }),
  ),
);

let netns: Netns;
beforeAll(() => {
  netns = createNetns();
});
afterAll(() => netns.remove());

/** One firewall that is given one configuration after the other, as if all of them were earlier ones of the next. */
function firewall(way: 'iptables' | 'nftables'): NodeFirewall {
  const binding = loadBinding();
  const inside = runProcess();
  const socket = openSocket(binding, { protocol: k.NETLINK_NETFILTER, netnsFd: netns.fd });
  return new NodeFirewall(way, {
    run: (program, args, stdin) => inside('ip', ['netns', 'exec', netns.name, program, ...args], stdin),
    nft: new NftKernel(new SyncSession(socket)),
    legacy: openLegacyKernel(binding, netns.fd, () => ''),
    subscribe: () => ({ close() {} }),
    clock: systemClock,
    log: silentLog,
  });
}

const read = (...command: string[]): string =>
  execFileSync('ip', ['netns', 'exec', netns.name, ...command], { encoding: 'utf8', stdio: 'pipe' });

/** `iptables-save` without the kernel's own chains, counters, and what surrounds the tables. */
const saved = (program: string): string =>
  read(program)
    .split('\n')
    .filter((line) => /^(\*|-|:FLANNEL)/.test(line))
    .filter((line, i, lines) => !line.startsWith('*') || /^[-:]/.test(lines[i + 1] ?? ''))
    .join('\n');

test('the configurations are at least sixty', () => {
  expect(configurations.length).toBeGreaterThanOrEqual(60);
});

describe('iptables-save shows Go flannel’s rules and no others', () => {
  let node: NodeFirewall;
  beforeAll(() => {
    node = firewall('iptables');
  });
  afterAll(() => node.close());

  test.each(configurations)('$title', async ({ input, pages }) => {
    await node.keep(input);
    expect(node.problem).toBeUndefined();
    expect(saved('iptables-save')).toBe(pages[4] === undefined ? '' : iptablesPage(pages[4]));
    expect(saved('ip6tables-save')).toBe(pages[6] === undefined ? '' : iptablesPage(pages[6]));
  });
});

describe('nft list shows Go flannel’s tables but for two rules', () => {
  let node: NodeFirewall;
  beforeAll(() => {
    node = firewall('nftables');
  });
  afterAll(() => node.close());

  const listed = (): string => {
    const there = read('nft', 'list', 'tables');
    return ['ip flannel-ipv4', 'ip6 flannel-ipv6']
      .filter((table) => there.includes(`table ${table}\n`))
      .map((table) => read('nft', 'list', 'table', ...table.split(' ')))
      .join('');
  };

  test.each(configurations)('$title', async ({ input, pages }) => {
    await node.keep(input);
    expect(node.problem).toBeUndefined();
    const expected = [pages[4], pages[6]].map((page) =>
      page === undefined ? '' : nftablesPage(page, 'ours'),
    );
    expect(listed()).toBe(expected.join(''));
  });

  test('and Go flannel’s own, told to nft, are shown as the book has them', async () => {
    await node.keep({ ...configurations[0]!.input, networks: [] });
    for (const { pages } of configurations) {
      for (const page of Object.values(pages)) {
        const book = nftablesPage(page, 'go');
        if (book === '') continue;
        const table = /^table (ip6?) (\S+)/.exec(book)?.slice(1) ?? [];
        execFileSync('ip', ['netns', 'exec', netns.name, 'nft', '-f', '-'], { input: book });
        expect(read('nft', 'list', 'table', ...table)).toBe(book);
        read('nft', 'delete', 'table', ...table);
      }
    }
  });
});
