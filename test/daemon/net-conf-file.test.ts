import { beforeEach, expect, test } from 'vitest';
import { ConfigInUse } from '../../src/daemon/network/config-in-use.ts';
import { effectiveNetwork } from '../../src/daemon/network/effective-network.ts';
import { followNetConf } from '../../src/daemon/network/net-conf-file.ts';
import { silentLog } from '../../src/world/log.ts';
import { VirtualClock } from '../kit/virtual-clock.ts';
import { given } from './options-given.ts';

const config = (more: object = {}) =>
  JSON.stringify({ Network: '10.244.0.0/16', Backend: { Type: 'vxlan' }, ...more });

let clock: VirtualClock;
let inUse: ConfigInUse;
let warnings: string[];
let read: () => string;
let end: () => void;
beforeEach(() => {
  clock = new VirtualClock();
  warnings = [];
  read = () => config();
  const parse = (text: string) => effectiveNetwork({ file: { name: '/net-conf.json', text }, ...given() });
  const log = { ...silentLog, warn: (_: object, message: string) => void warnings.push(message) };
  inUse = new ConfigInUse({ place: '/net-conf.json', text: config(), parse, log });
  end = followNetConf({ inUse, read: () => read(), clock });
});

const failing = (code: string) => () => {
  throw Object.assign(new Error(code), { code });
};
const after = async (now: () => string) => {
  read = now;
  await clock.advance(30_000);
  return inUse.difference;
};

test('a net-conf.json that stays, or is only written otherwise, is no news', async () => {
  expect(await after(() => config())).toBeUndefined();
  expect(await after(() => `\n${config({ EnableIPv4: true })}`)).toBeUndefined();
  expect(await after(failing('EACCES'))).toBeUndefined();
  expect(warnings).toEqual([]);
});

test('one that changes, breaks or goes is told once, and the status has it until it is as it was', async () => {
  const changed = await after(() => config({ Backend: { Type: 'host-gw' } }));
  expect(changed).toMatch(/^the network configuration at \/net-conf\.json has changed; .*: restart flanneld/);
  expect(await after(failing('EACCES'))).toBe(changed);
  expect(await after(() => '{"Network":')).toMatch(/has become unusable, and .*: .*is not JSON/);
  expect(await after(failing('ENOENT'))).toMatch(/is gone; this node keeps the one/);
  expect(await after(() => config())).toBeUndefined();
  expect(warnings).toHaveLength(3);
});

test('nobody looks any more when that was ended', async () => {
  end();
  expect(await after(() => 'nonsense')).toBeUndefined();
});
