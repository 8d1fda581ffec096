import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { machineFiles } from '../../src/cni/records/files.ts';
import { FlannelState } from '../../src/cni/records/flannel-state.ts';
import { type AttachmentRecord, Records } from '../../src/cni/records/record.ts';
import { possibleBackends, readDelegate } from '../../src/cni/configuration/recorded-delegate.ts';
import { mac } from '../../src/net/mac.ts';
import { prefix } from '../../src/net/prefix.ts';
import { scratchDirectory } from './scratch.ts';

const record: AttachmentRecord = {
  network: 'cbr0',
  containerID: 'c1',
  ifname: 'eth0',
  netns: '/run/netns/c1',
  hostLink: 'veth01020304',
  hostMac: mac('02:00:00:00:00:01'),
  addresses: [prefix('10.244.1.2/24')],
  ipamDataDir: '/var/lib/cni/networks',
  hostNetns: '4:4026531833',
  masquerade: 'nftables',
};

describe('records', () => {
  test('are kept beside the state files, for root alone', () => {
    const directory = scratchDirectory();
    const records = new Records(machineFiles, path.join(directory, 'flannel'));
    records.write(record);
    const file = path.join(directory, 'flannelette', 'cbr0', 'c1:eth0');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(records.modified(record)).toBe(statSync(file).mtimeMs);
    expect(statSync(path.dirname(file)).mode & 0o777).toBe(0o700);
    expect(readdirSync(path.dirname(file))).toEqual(['c1:eth0']);
    expect(records.read(record)).toEqual(record);
    expect(records.keys()).toEqual([{ network: 'cbr0', containerID: 'c1', ifname: 'eth0' }]);
    records.remove(record);
    records.remove(record);
    expect(records.read(record)).toBeUndefined();
    expect(records.modified(record)).toBeUndefined();
    expect(records.keys()).toEqual([]);
  });

  test.each(['', '{', 'null', '5', '{"hostLink":5}', '\0\0\0'])(
    'a file that says %j is as good as none',
    (text) => {
      const directory = scratchDirectory();
      mkdirSync(path.join(directory, 'flannelette', 'cbr0'), { recursive: true });
      writeFileSync(path.join(directory, 'flannelette', 'cbr0', 'c1:eth0'), text);
      const records = new Records(machineFiles, path.join(directory, 'flannel'));
      expect(records.read(record)).toBeUndefined();
      expect(records.keys('cbr0')).toHaveLength(1);
    },
  );

  test('none in a directory that does not exist', () => {
    const records = new Records(machineFiles, path.join(scratchDirectory(), 'nothing', 'flannel'));
    expect(records.keys()).toEqual([]);
    expect(records.read(record)).toBeUndefined();
  });
});

describe('a state file', () => {
  test("is flannel's: its directory 0700, the file 0600, named after the container", () => {
    const directory = path.join(scratchDirectory(), 'flannel');
    const state = new FlannelState(machineFiles, directory);
    state.write('c1', '{"name":"cbr0"}');
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(statSync(path.join(directory, 'c1')).mode & 0o777).toBe(0o600);
    expect(state.read('c1')).toBe('{"name":"cbr0"}');
    expect(state.containers()).toEqual(['c1']);
    state.remove('c1');
    state.remove('c1');
    expect(state.read('c1')).toBeUndefined();
  });

  test("that Go's flannel wrote is understood", () => {
    const text =
      '{"cniVersion":"0.3.1","hairpinMode":true,"ipMasq":true,"ipam":{"ranges":[[{"subnet":"10.244.1.0/24"}]],' +
      '"routes":[{"dst":"10.244.0.0/16"}],"type":"host-local"},"isDefaultGateway":true,"isGateway":true,' +
      '"mtu":1450,"name":"cbr0","type":"bridge"}';
    expect(readDelegate(text)).toEqual({
      network: 'cbr0',
      type: 'bridge',
      ipamType: 'host-local',
      ipamDataDir: '/var/lib/cni/networks',
      ipMasq: true,
      text,
    });
  });

  test.each([undefined, '', '{', '[]', 'null', '{}', '{"name":5}'])('that says %j says nothing', (text) => {
    expect(readDelegate(text)).toBeUndefined();
  });
});

test('what a killed writer left goes with the file', () => {
  const directory = path.join(scratchDirectory(), 'flannel');
  const state = new FlannelState(machineFiles, directory);
  state.write('c1', 'x');
  writeFileSync(path.join(directory, '.c1'), 'half');
  expect(state.containers()).toEqual(['c1']);
  state.remove('c1');
  expect(readdirSync(directory)).toEqual([]);
});

test('rules may be there by either backend when nobody wrote down which', () => {
  expect(possibleBackends(false, undefined)).toEqual([]);
  expect(possibleBackends(true, undefined)).toEqual(['iptables', 'nftables']);
  expect(possibleBackends(true, 'nftables')).toEqual(['nftables']);
});
