import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Json, Machine, nothing, type Scene, ways } from '../cni/conformance/harness.ts';

/** A27 on a kernel that has bridge VLAN filtering. */
describe.each(ways)('VLANs of the bridge, %s', (way) => {
  let machine: Machine;
  beforeAll(async () => {
    machine = await Machine.start(way);
  });
  afterAll(() => machine.stop());

  const vlansOf = async (scene: Scene): Promise<[number, string[]][]> => {
    const [port = ''] = (await scene.ports()).filter((name) => name.startsWith('veth'));
    const [shown] = (await machine.node.json('bridge', 'vlan', 'show', 'dev', port)) as {
      vlans: { vlan: number; vlanEnd?: number; flags?: string[] }[];
    }[];
    return (shown?.vlans ?? []).map(({ vlan, flags = [] }) => [vlan, flags]);
  };
  const pvid = ['PVID', 'Egress Untagged'];

  test.each<[string, Json, [number, string[]][]]>([
    ['A27 vlan', { vlan: 100 }, [[100, pvid]]],
    [
      'A27 vlan, preserved default',
      { vlan: 100, preserveDefaultVlan: true },
      [
        [1, ['Egress Untagged']],
        [100, pvid],
      ],
    ],
    [
      'A27 trunk of one',
      { vlanTrunk: [{ id: 100 }] },
      [
        [1, pvid],
        [100, []],
      ],
    ],
    [
      'A27 trunk of a range',
      { vlanTrunk: [{ minID: 10, maxID: 12 }] },
      [
        [1, pvid],
        [10, []],
        [11, []],
        [12, []],
      ],
    ],
    [
      'A27 vlan and trunk',
      { vlan: 5, vlanTrunk: [{ id: 100 }] },
      [
        [5, pvid],
        [100, []],
      ],
    ],
  ])('%s', async (_name, changes, vlans) => {
    const scene = machine.scene();
    const conf = scene.conf({}, { ...changes, isDefaultGateway: false, isGateway: false });
    await scene.ok('ADD', { conf });
    expect(await scene.link(machine.node, scene.bridge)).toMatchObject({
      linkinfo: { info_data: { vlan_filtering: 1 } },
    });
    expect(await vlansOf(scene)).toEqual(vlans);
    await scene.ok('DEL', { conf });
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('A27 the gateway is on a link of that VLAN', async () => {
    const scene = machine.scene();
    const conf = scene.conf({}, { vlan: 100 });
    await scene.ok('ADD', { conf });
    expect(await scene.addressesOf(machine.node, `${scene.bridge}.100`)).toEqual([`${scene.v4}.1/24`]);
    await scene.pod.exec('ping', '-c1', '-W5', `${scene.v4}.1`);
  });
});
