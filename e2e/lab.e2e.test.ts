import { existsSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from './lab/command.ts';
import { describeOnEachRuntime } from './lab/each-runtime.ts';
import { Lab } from './lab/lab.ts';
import { Pod } from './lab/pod.ts';

/** The reference chain on the lab's nodes: when this fails, the lab is at fault and not what the other tests try. */
describeOnEachRuntime('the lab with the reference plugins', (runtime) => {
  let lab: Lab;

  beforeAll(async () => {
    if (runtime.missing === undefined)
      lab = await Lab.start({ nodes: 1, family: 'dual', runtime, record: true });
  });
  afterAll(() => lab?.stop());

  test('runs two pods that reach each other, and survives a power cut', async () => {
    const node = lab.node(1);
    expect(await node.cri.network()).toMatchObject({ status: false });
    node.installConfiguration('10-bridge.conflist', bridge);
    await until('NetworkReady', 5, async () => (await node.cri.network()).status);
    const pods = await Promise.all(['a', 'b'].map((name) => Pod.run(node, { name })));
    const [a, b] = pods;
    expect(await a?.reaches(b?.v4 ?? '')).toBe(true);
    expect(await a?.reaches(b?.v6 ?? '')).toBe(true);
    expect(node.calls().map((call) => `${call.plugin} ${call.CNI_COMMAND}`)).toContain('host-local ADD');
    expect(node.reservations()).toHaveLength(4);
    await node.powerOff();
    expect(existsSync(`/run/netns/${lab.underlay.netns(1)}`)).toBe(false);
    await node.start();
    expect(node.reservations()).toHaveLength(4);
    const { items } = await node.cri.call('ListPodSandbox', {});
    expect(items.map(({ state }) => state)).toEqual(['SANDBOX_NOTREADY', 'SANDBOX_NOTREADY']);
  });
});

const bridge = JSON.stringify({
  cniVersion: '1.0.0',
  name: 'cbr0',
  plugins: [
    {
      type: 'bridge',
      bridge: 'cni0',
      isDefaultGateway: true,
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: '10.244.1.0/24' }], [{ subnet: 'fd00:244:0:1::/64' }]],
      },
    },
  ],
});
