import { chmodSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Cluster } from './lab/cluster.ts';
import { until } from './lab/command.ts';
import { describeOnEachRuntime } from './lab/each-runtime.ts';
import { sharedFile, shippedConfiguration } from './lab/lab.ts';
import type { LabNode } from './lab/node.ts';
import { Pod } from './lab/pod.ts';
import { type Call, hasPrevResult } from './lab/recorder.ts';

/** Every way in which a container runtime has been seen to call CNI, on one node with a recorder before each plugin. */
describeOnEachRuntime('the calls of containerd', (runtime) => {
  let cluster: Cluster;
  let node: LabNode;
  let seen = 0;
  const modern = runtime.name === 'containerd 2.4';

  /** The calls of flannel since this was last asked. */
  const newCalls = (): Call[] => {
    const calls = node.calls();
    const fresh = calls.slice(seen).filter(({ plugin }) => plugin === 'flannel');
    seen = calls.length;
    return fresh;
  };
  /** As `DEL netns prevResult`, with what a DEL was given. */
  const given = (call: Call): string =>
    [call.CNI_COMMAND, call.CNI_NETNS === '' ? '' : 'netns', hasPrevResult(call) ? 'prevResult' : '']
      .filter(Boolean)
      .join(' ');

  beforeAll(async () => {
    cluster = await Cluster.start({ nodes: 1, family: 'dual', runtime, record: true });
    node = cluster.node(1);
    newCalls();
  });
  afterEach(() => {
    newCalls();
  });
  afterAll(() => cluster?.stop());

  const expectNothingLeft = async () => {
    expect(node.reservations()).toEqual([]);
    expect(await node.ports()).toEqual([]);
    expect(await node.shell('iptables-save | grep -c "name: .cbr0" || true')).toBe('0\n');
  };

  test('ADD once, and a DEL at Stop, at a second Stop and at Remove', async () => {
    const pod = await Pod.run(node, {
      name: 'repeated',
      hostPorts: [{ containerPort: 80, hostPort: 8080 }],
    });
    await pod.stop();
    await expectNothingLeft();
    await pod.stop();
    await pod.remove();
    const calls = newCalls();
    expect(calls.map(given)).toEqual(['ADD netns', 'DEL netns prevResult', 'DEL', 'DEL']);
    expect(calls.map(({ exit }) => exit)).toEqual([0, 0, 0, 0]);
  });

  test(`speak version ${modern ? '1.1.0' : '1.0.0'} with the conflist that is shipped`, async () => {
    const pod = await Pod.run(node, { name: 'version' });
    await pod.stop();
    await pod.remove();
    const [add] = newCalls();
    const expected = modern ? '1.1.0' : '1.0.0';
    expect(JSON.parse(add?.stdin ?? '')).toMatchObject({ cniVersion: expected, name: 'cbr0' });
    const result = JSON.parse(add?.stdout ?? '') as {
      cniVersion: string;
      interfaces: object[];
      ips: { interface: number }[];
    };
    expect(result.cniVersion).toBe(expected);
    // an index beyond the interfaces makes containerd panic
    for (const ip of result.ips) expect(ip.interface).toBeLessThan(result.interfaces.length);
  });

  test('DEL all at once when a later plugin of the chain fails its ADD', async () => {
    await installFailingPlugin(node, cluster);
    node.installConfiguration('10-flannel.conflist', chainedWith('fails-add'));
    await expect(Pod.run(node, { name: 'failed' })).rejects.toThrow('fails-add was asked to fail');
    node.installConfiguration('10-flannel.conflist', shippedConfiguration());
    const calls = newCalls();
    expect(calls.map(({ CNI_COMMAND: verb }) => verb)).toEqual(['ADD', 'DEL']);
    expect(calls.map(({ exit }) => exit)).toEqual([0, 0]);
    await expectNothingLeft();
  });

  test('DEL after an ADD of ours that failed, and the pod can be started again', async () => {
    await node.shell('mv /run/flannel/subnet.env /run/flannel/away');
    await expect(Pod.run(node, { name: 'failing' })).rejects.toThrow('subnet.env');
    await node.shell('mv /run/flannel/away /run/flannel/subnet.env');
    const calls = newCalls();
    expect(calls.map(({ CNI_COMMAND: verb }) => verb)).toEqual(['ADD', 'DEL']);
    expect(calls[0]?.exit).not.toBe(0);
    expect(calls[1]?.exit).toBe(0);
    await expectNothingLeft();
    const pod = await Pod.run(node, { name: 'failing' });
    await pod.stop();
    await pod.remove();
    await expectNothingLeft();
  });

  test('no DEL at all for us when a later plugin fails ADD and DEL: flanneld gives the addresses back', async () => {
    await installFailingPlugin(node, cluster);
    node.installConfiguration('10-flannel.conflist', chainedWith('fails-both'));
    await expect(Pod.run(node, { name: 'forgotten' })).rejects.toThrow('fails-both was asked to fail');
    node.installConfiguration('10-flannel.conflist', shippedConfiguration());
    expect(newCalls().map(({ CNI_COMMAND: verb }) => verb)).toEqual(['ADD']);
    expect(node.reservations()).toHaveLength(2);
    // containerd 1.6 still knows the pod, 2.4 does not; kubelet would take away what it finds
    const { items } = await node.cri.call('ListPodSandbox', {});
    for (const { id } of items) {
      await node.cri.call('StopPodSandbox', { pod_sandbox_id: id });
      await node.cri.call('RemovePodSandbox', { pod_sandbox_id: id });
    }
    await node.ageReservations();
    await cluster.killDaemon(node);
    await cluster.startDaemon(node);
    await until('the release', 10, async () => node.reservations().length === 0);
    await expectNothingLeft();
  });

  test('12 pods at once', async () => {
    const names = Array.from({ length: 12 }, (_, i) => `many-${i}`);
    const pods = await Promise.all(names.map((name) => Pod.run(node, { name })));
    expect(new Set(pods.flatMap(({ addresses }) => addresses)).size).toBe(24);
    await Promise.all(pods.map((pod) => pod.stop()));
    await Promise.all(pods.map((pod) => pod.remove()));
    expect(newCalls().filter(({ exit }) => exit !== 0)).toEqual([]);
    await expectNothingLeft();
  });

  test(
    modern ? 'STATUS of every Status request, from several callers at once' : 'no STATUS at all',
    async () => {
      const conditions = await Promise.all(Array.from({ length: 12 }, () => node.cri.network()));
      expect(conditions.map(({ status }) => status)).toEqual(Array.from({ length: 12 }, () => true));
      const calls = newCalls();
      expect(calls.map(({ CNI_COMMAND: verb }) => verb)).toEqual(
        Array.from({ length: modern ? 12 : 0 }, () => 'STATUS'),
      );
      expect(calls.filter(({ exit }) => exit !== 0)).toEqual([]);
    },
  );

  const statusMatters = modern ? test : () => {}; // containerd 1.6 never asks
  statusMatters('STATUS, and its sentence reaches kubelet when there is no subnet yet', async () => {
    await node.shell('mv /run/flannel/subnet.env /run/flannel/away');
    const condition = await node.cri.network();
    await node.shell('mv /run/flannel/away /run/flannel/subnet.env');
    expect(condition).toMatchObject({ status: false, reason: 'NetworkPluginNotReady' });
    expect(condition.message).toContain('subnet.env');
    expect((await node.cri.network()).status).toBe(true);
  });

  test('nothing when containerd restarts, and the pods go on', async () => {
    const pod = await Pod.run(node, { name: 'stays' });
    newCalls();
    await node.stopContainerd();
    await node.startContainerd();
    expect(newCalls().filter(({ CNI_COMMAND: verb }) => verb !== 'STATUS')).toEqual([]);
    expect(await pod.reaches('192.168.50.254')).toBe(true);
    await pod.stop();
    await pod.remove();
    await expectNothingLeft();
  });

  describe('when flanneld', () => {
    test('is away: every verb stands alone', async () => {
      await cluster.killDaemon(node);
      const pod = await Pod.run(node, {
        name: 'alone',
        hostPorts: [{ containerPort: 80, hostPort: 8080 }],
      });
      expect(pod.addresses).toHaveLength(2);
      expect(await pod.reaches('192.168.50.254')).toBe(true);
      expect((await node.cri.network()).status).toBe(true);
      await pod.stop();
      await pod.remove();
      await expectNothingLeft();
      await cluster.startDaemon(node);
      expect(newCalls().filter(({ exit }) => exit !== 0)).toEqual([]);
    });

    test('comes and goes between ADD and DEL', async () => {
      const warm = await Pod.run(node, { name: 'warm' });
      await cluster.killDaemon(node);
      const alone = await Pod.run(node, { name: 'alone' });
      await warm.stop();
      await cluster.startDaemon(node);
      expect(alone.addresses).not.toEqual(warm.addresses);
      const next = await Pod.run(node, { name: 'next' });
      expect(next.addresses).not.toEqual(alone.addresses);
      expect(await next.reaches(alone.v4 ?? '')).toBe(true);
      await Promise.all([alone.stop(), next.stop()]);
      await Promise.all([warm.remove(), alone.remove(), next.remove()]);
      expect(newCalls().filter(({ exit }) => exit !== 0)).toEqual([]);
      await expectNothingLeft();
    });
  });

  test('DEL without a network namespace, but with the result, after a power cut', async () => {
    const pod = await Pod.run(node, { name: 'cut' });
    await cluster.killDaemon(node);
    await node.powerOff();
    await node.start();
    newCalls();
    await cluster.setUp(node);
    await pod.stop();
    await pod.remove();
    const calls = newCalls().filter(({ CNI_COMMAND: verb }) => verb === 'DEL');
    expect(calls.map(given)[0]).toBe('DEL prevResult');
    expect(calls.filter(({ exit }) => exit !== 0)).toEqual([]);
    await expectNothingLeft();
  });

  test('and the conflist is noticed when it comes by a rename', async () => {
    await node.shell('rm /etc/cni/net.d/10-flannel.conflist');
    await until('NetworkReady=false', 5, async () => !(await node.cri.network()).status);
    node.installConfiguration('10-flannel.conflist', shippedConfiguration());
    await until('NetworkReady', 5, async () => (await node.cri.network()).status);
  });
});

function chainedWith(type: string): string {
  const list = JSON.parse(shippedConfiguration()) as { plugins: object[] };
  return JSON.stringify({ ...list, plugins: [...list.plugins, { type }] });
}

/** `fails-add` fails its ADD, `fails-both` its DEL as well. */
async function installFailingPlugin(node: LabNode, cluster: Cluster): Promise<void> {
  const script = `#!/bin/sh
cat > /dev/null
name=$(basename "$0")
[ "$CNI_COMMAND" = ADD ] || [ "$CNI_COMMAND-$name" = DEL-fails-both ] || exit 0
printf '{"cniVersion":"1.0.0","code":100,"msg":"%s was asked to fail"}' "$name"
exit 1
`;
  for (const name of ['fails-add', 'fails-both']) {
    const file = sharedFile(cluster.lab, name, script);
    chmodSync(file, 0o755);
    await node.installPlugin(file);
  }
}
