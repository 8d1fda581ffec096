import { describe, expect, test } from 'vitest';
import { type HostState, planHost } from '../../src/daemon/host/host-preparation.ts';

const sysctls = {
  'net.ipv4.ip_forward': '0',
  'net.ipv6.conf.all.forwarding': '0',
  'net.ipv6.conf.eth0.accept_ra': '1',
  'net.bridge.bridge-nf-call-iptables': '1',
  'net.bridge.bridge-nf-call-ip6tables': '1',
};

function host(
  set: Partial<Record<keyof typeof sysctls | 'net.ipv6.conf.bond0/7.accept_ra', string | undefined>> = {},
  rest: Partial<HostState> = {},
): HostState {
  const all: Record<string, string | undefined> = { ...sysctls, ...set };
  return {
    families: [4, 6],
    external: 'eth0',
    routers: [],
    hasIPv6Default: true,
    sysctl: (name) => all[name],
    ...rest,
  };
}

const written = (state: HostState, manage = false) =>
  planHost(state, manage).writes.map(({ name, value }) => `${name}=${value}`);
const warned = (state: HostState, manage = false) => planHost(state, manage).warnings.join('\n');

describe('forwarding', () => {
  test('is switched on for the families of the network', () => {
    expect(written(host())).toEqual(['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
    expect(written(host({}, { families: [4] }))).toEqual(['net.ipv4.ip_forward=1']);
    expect(written(host({}, { families: [6] }))).toEqual(['net.ipv6.conf.all.forwarding=1']);
    expect(warned(host())).toBe('');
  });

  test('that is on, or that nobody can see, is left alone', () => {
    expect(written(host({ 'net.ipv4.ip_forward': '1', 'net.ipv6.conf.all.forwarding': undefined }))).toEqual(
      [],
    );
  });
});

describe('a default route from router advertisements', () => {
  const advertised = { routers: ['eth0'] };

  test('is saved before forwarding is switched on', () => {
    expect(written(host({}, advertised), true)).toEqual([
      'net.ipv6.conf.eth0.accept_ra=2',
      'net.ipv4.ip_forward=1',
      'net.ipv6.conf.all.forwarding=1',
    ]);
    expect(warned(host({}, advertised), true)).toBe('');
  });

  test('without leave is not endangered by this program, and the operator hears of it', () => {
    expect(written(host({}, advertised))).toEqual(['net.ipv4.ip_forward=1']);
    expect(warned(host({}, advertised))).toMatch(
      /^eth0 has its IPv6 default route from router advertisements, .* --manage-accept-ra, or set net\.ipv6\.conf\.eth0\.accept_ra=2$/,
    );
  });

  test('that will not be renewed is told', () => {
    const state = host({ 'net.ipv6.conf.all.forwarding': '1' }, advertised);
    expect(warned(state)).toContain('the route goes when its time is over');
    expect(written(state, true)).toContain('net.ipv6.conf.eth0.accept_ra=2');
  });

  test('that is lost already is told, of the interface to other nodes', () => {
    const state = host({ 'net.ipv6.conf.all.forwarding': '1' }, { hasIPv6Default: false });
    expect(warned(state)).toMatch(/^there is no IPv6 default route, and eth0 does not listen/);
    expect(written(state, true)).toContain('net.ipv6.conf.eth0.accept_ra=2');
  });

  test.each(['0', '2', undefined])('is no concern where accept_ra is %s', (value) => {
    const state = host({ 'net.ipv6.conf.eth0.accept_ra': value }, advertised);
    expect(warned(state)).toBe('');
    expect(written(state)).toContain('net.ipv6.conf.all.forwarding=1');
  });

  test('is none of an IPv4 network’s', () => {
    expect(warned(host({}, { ...advertised, families: [4] }))).toBe('');
    expect(written(host({}, { ...advertised, families: [4] }), true)).toEqual(['net.ipv4.ip_forward=1']);
  });

  test('of a link with a dot in its name is named as sysctl names it', () => {
    const state = host({ 'net.ipv6.conf.bond0/7.accept_ra': '1' }, { routers: ['bond0.7'] });
    expect(written(state, true)).toContain('net.ipv6.conf.bond0/7.accept_ra=2');
  });
});

describe('br_netfilter', () => {
  const none = {
    'net.bridge.bridge-nf-call-iptables': undefined,
    'net.bridge.bridge-nf-call-ip6tables': undefined,
  };

  test('that is missing is told once, with the packages that have it', () => {
    const { warnings } = planHost(host(none), false);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/br_netfilter is not loaded.*kernel-modules.*linux-modules-extra-raspi/);
    expect(planHost(host(none, { families: [6] }), false).warnings).toHaveLength(1);
  });

  test('that is switched off for a family is told, and left as it is', () => {
    const state = host({ 'net.bridge.bridge-nf-call-ip6tables': '0' });
    expect(warned(state)).toMatch(/^net\.bridge\.bridge-nf-call-ip6tables is 0: .* Service; set it to 1$/);
    expect(warned({ ...state, families: [4] })).toBe('');
  });
});
