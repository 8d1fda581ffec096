import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ActualObject } from '../../src/kernel/actual.ts';
import { type ActualObjects, type DesiredObjects, diff, linkKey } from '../../src/kernel/diff.ts';
import { fits } from '../../src/kernel/fit.ts';
import { type KernelObject, keyOf, type Link, type ObjectKey } from '../../src/kernel/object.ts';
import { describe as describeOperation, type Operation } from '../../src/kernel/operation.ts';
import { isOurs } from '../../src/kernel/ownership.ts';
import { address } from '../../src/net/address.ts';
import { mac } from '../../src/net/mac.ts';
import { prefix } from '../../src/net/prefix.ts';
import { actualObjects, desiredObjects, ownership } from './objects.ts';

const keyed = (objects: readonly KernelObject[]): DesiredObjects =>
  new Map(objects.map((object) => [keyOf(object), object]));

/** Of one key the kernel has several routes at most. */
function listed(objects: readonly ActualObject[]): ActualObjects {
  const lists = new Map<ObjectKey, ActualObject[]>();
  for (const object of objects) {
    const key = keyOf(object);
    const list = lists.get(key) ?? [];
    const isTwin = list.some((other) => JSON.stringify(other) === JSON.stringify(object));
    if (list.length === 0 || (object.kind === 'route' && !isTwin)) lists.set(key, [...list, object]);
  }
  return lists;
}

/** A kernel that does one operation after the other, and throws at one that cannot be. */
class Model {
  readonly objects: Map<ObjectKey, readonly ActualObject[]>;

  constructor(objects: ActualObjects) {
    this.objects = new Map(objects);
  }

  run(operation: Operation): void {
    const { object, verb } = operation;
    const key = keyOf(object);
    const there = this.objects.get(key) ?? [];
    if (verb === 'remove') {
      if (!there.includes(object)) throw new Error(`not there: ${describeOperation(operation)}`);
      this.#put(
        key,
        there.filter((other) => other !== object),
      );
      if (object.kind === 'link') this.#clear(object.name);
      return;
    }
    if (verb === 'add' ? there.length > 0 : !there.includes(operation.was)) {
      throw new Error(`taken, or not there: ${describeOperation(operation)}`);
    }
    this.#requireLink(object);
    if (object.kind === 'link' && verb === 'replace') this.#clear(object.name);
    const kept = verb === 'add' ? [] : there.filter((other) => other !== operation.was);
    this.#put(key, [made(object, verb === 'change' ? operation.was : undefined), ...kept]);
  }

  #requireLink(object: KernelObject): void {
    if (object.kind === 'link' || object.link === undefined || object.link === 'eth0') return;
    if (!this.objects.has(linkKey(object.link))) throw new Error(`no link for ${JSON.stringify(object)}`);
  }

  #clear(link: string): void {
    for (const [key, objects] of this.objects) {
      this.#put(
        key,
        objects.filter((object) => object.kind === 'link' || object.link !== link),
      );
    }
  }

  #put(key: ObjectKey, objects: readonly ActualObject[]): void {
    if (objects.length === 0) this.objects.delete(key);
    else this.objects.set(key, objects);
  }
}

function made(object: KernelObject, was: ActualObject | undefined): ActualObject {
  if (object.kind !== 'link') return object;
  const before = was?.kind === 'link' ? was.mac : undefined;
  return { ...object, up: true, mac: object.mac ?? before ?? mac('02:00:00:00:00:99') };
}

function ran(operations: readonly Operation[], actual: ActualObjects): ActualObjects {
  const model = new Model(actual);
  for (const operation of operations) model.run(operation);
  return model.objects;
}

const worlds = fc
  .tuple(desiredObjects, actualObjects)
  .map(([desired, actual]): [DesiredObjects, ActualObjects] => [keyed(desired), listed(actual)]);

describe('a difference that is carried out', () => {
  test('leaves what is desired, what is foreign, and nothing else of ours', () => {
    fc.assert(
      fc.property(worlds, ([desired, actual]) => {
        const { operations, foreign, waiting } = diff(desired, actual, ownership);
        const after = ran(operations, actual);
        for (const [key, object] of desired) {
          const there = after.get(key) ?? [];
          if (foreign.has(key)) expect(there).toContain(foreign.get(key));
          else if (!waiting.includes(key)) expect(there.some((found) => fits(object, found))).toBe(true);
        }
        for (const [key, objects] of after) {
          // What is in the place of an object that has to wait serves meanwhile.
          if (foreign.has(key) || waiting.includes(key)) continue;
          const wanted = desired.get(key);
          for (const object of objects) {
            const isRight = wanted !== undefined && fits(wanted, object);
            if (!isRight) expect(isOurs(object, ownership)).toBe(false);
          }
        }
      }),
    );
  });

  test('keeps every foreign object whose link stays', () => {
    fc.assert(
      fc.property(worlds, ([desired, actual]) => {
        const { operations } = diff(desired, actual, ownership);
        const unmade = new Set(
          operations.flatMap(({ verb, object }) =>
            object.kind === 'link' && (verb === 'remove' || verb === 'replace') ? [object.name] : [],
          ),
        );
        const after = ran(operations, actual);
        for (const [key, objects] of actual) {
          for (const object of objects) {
            if (isOurs(object, ownership)) continue;
            if (object.kind !== 'link' && object.link !== undefined && unmade.has(object.link)) continue;
            const wanted = desired.get(key);
            if (wanted !== undefined && fits(wanted, object)) continue;
            expect(after.get(key)).toContain(object);
          }
        }
      }),
    );
  });

  test('leaves nothing to do', () => {
    fc.assert(
      fc.property(worlds, ([desired, actual]) => {
        const first = diff(desired, actual, ownership);
        const second = diff(desired, ran(first.operations, actual), ownership);
        expect(second.operations).toEqual([]);
        expect([...second.foreign.keys()]).toEqual([...first.foreign.keys()]);
      }),
    );
  });

  test('removes nothing while not everything is known, but what is in the way of something desired', () => {
    fc.assert(
      fc.property(worlds, ([desired, actual]) => {
        const { operations } = diff(desired, actual, ownership, { removals: false });
        for (const { verb, object } of operations) {
          if (verb === 'remove') expect(desired.has(keyOf(object))).toBe(true);
        }
      }),
    );
  });

  test('of some keys touches no others', () => {
    fc.assert(
      fc.property(worlds, fc.double({ min: 0, max: 1, noNaN: true }), ([desired, actual], share) => {
        const all = [...new Set([...desired.keys(), ...actual.keys()])].filter(
          (key) => !key.startsWith('link '),
        );
        const keys = new Set(all.slice(0, Math.round(all.length * share)));
        const { operations } = diff(desired, actual, ownership, { keys, removals: true });
        for (const { object } of operations) expect(keys.has(keyOf(object))).toBe(true);
      }),
    );
  });
});

describe('a difference is readable, and in an order that works', () => {
  const device: Link = {
    kind: 'link',
    name: 'flannel.1',
    mtu: 1450,
    mac: mac('02:00:00:00:00:01'),
    info: {
      kind: 'vxlan',
      vni: 1,
      lower: 'eth0',
      local: address('192.0.2.1'),
      port: 8472,
      learning: false,
      gbp: false,
    },
  };
  const peer: KernelObject[] = [
    { kind: 'neighbour', link: 'flannel.1', address: address('10.244.2.0'), mac: mac('02:00:00:00:00:02') },
    { kind: 'fdb', link: 'flannel.1', mac: mac('02:00:00:00:00:02'), remote: address('192.0.2.2') },
    {
      kind: 'route',
      destination: prefix('10.244.2.0/24'),
      metric: 0,
      gateway: address('10.244.2.0'),
      link: 'flannel.1',
      onlink: true,
      protocol: 241,
    },
  ];
  const own: KernelObject[] = [
    device,
    { kind: 'address', link: 'flannel.1', address: prefix('10.244.1.0/32') },
  ];
  const lines = (desired: readonly KernelObject[], actual: readonly ActualObject[]) =>
    diff(keyed(desired), listed(actual), ownership).operations.map(describeOperation);
  const there = [...own, ...peer].map((object) => made(object, undefined));

  test('from nothing, whatever the order of what is desired', () => {
    expect(lines([...peer, ...own].toReversed(), [])).toEqual([
      'add link flannel.1 address 02:00:00:00:00:01 mtu 1450 vxlan id 1 local 192.0.2.1 dev eth0 dstport 8472 nolearning',
      'add address 10.244.1.0/32 dev flannel.1',
      'add neighbour 10.244.2.0 lladdr 02:00:00:00:00:02 dev flannel.1',
      'add fdb 02:00:00:00:00:02 dst 192.0.2.2 dev flannel.1',
      'add route 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink',
    ]);
  });

  test('to nothing: the device takes all with it', () => {
    expect(lines([], there)).toEqual([
      'remove link flannel.1 address 02:00:00:00:00:01 mtu 1450 vxlan id 1 local 192.0.2.1 dev eth0 dstport 8472 nolearning',
    ]);
  });

  test('a peer that goes: its route first', () => {
    expect(lines(own, there)).toEqual([
      'remove route 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink',
      'remove fdb 02:00:00:00:00:02 dst 192.0.2.2 dev flannel.1',
      'remove neighbour 10.244.2.0 lladdr 02:00:00:00:00:02 dev flannel.1',
    ]);
  });

  test('a peer with another MAC: the old entry serves until the new one is there', () => {
    const [neighbour, fdb, route] = peer;
    const changed = [
      { ...neighbour, mac: mac('02:00:00:00:00:0a') },
      { ...fdb, mac: mac('02:00:00:00:00:0a') },
      route,
    ] as KernelObject[];
    expect(lines([...own, ...changed], there)).toEqual([
      'replace neighbour 10.244.2.0 lladdr 02:00:00:00:00:0a dev flannel.1, was neighbour 10.244.2.0 lladdr 02:00:00:00:00:02 dev flannel.1',
      'add fdb 02:00:00:00:00:0a dst 192.0.2.2 dev flannel.1',
      'remove fdb 02:00:00:00:00:02 dst 192.0.2.2 dev flannel.1',
    ]);
  });

  test('Go flannel’s route is replaced, not removed', () => {
    const go = there.map((object) => (object.kind === 'route' ? { ...object, protocol: 3 } : object));
    expect(lines([...own, ...peer], go)).toEqual([
      'replace route 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink, was route 10.244.2.0/24 via 10.244.2.0 dev flannel.1 proto boot onlink',
    ]);
  });

  test('a device is changed where the kernel can, and keeps a MAC that nobody asks to change', () => {
    const anyMac: KernelObject = { ...device, mtu: 1400, mac: undefined } as unknown as Link;
    const down = there.map((object) => (object.kind === 'link' ? { ...object, up: false } : object));
    expect(lines([anyMac, ...own.slice(1), ...peer], down)).toEqual([
      'change link flannel.1: mtu 1400, was 1450; up true, was false',
    ]);
  });

  test('a device of another kind is made anew, with all that is on it', () => {
    const bridge: ActualObject = {
      kind: 'link',
      name: 'flannel.1',
      mtu: 1500,
      mac: undefined,
      up: true,
      info: { kind: 'other', is: 'bridge' },
    };
    const rest = there.filter(({ kind }) => kind !== 'link');
    expect(lines([...own, ...peer], [bridge, ...rest])).toEqual([
      expect.stringMatching(/^replace link flannel\.1 .*, was link flannel\.1 of bridge kind$/),
      'add address 10.244.1.0/32 dev flannel.1',
      'add neighbour 10.244.2.0 lladdr 02:00:00:00:00:02 dev flannel.1',
      'add fdb 02:00:00:00:00:02 dst 192.0.2.2 dev flannel.1',
      'add route 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink',
    ]);
  });

  test('IPv6: a route that leads its own new gateway astray goes first', () => {
    const tunnelled: KernelObject = {
      kind: 'route',
      destination: prefix('fd00:10:244:2::/64'),
      metric: 1024,
      gateway: address('fd00:10:244:2::'),
      link: 'flannel.1',
      onlink: true,
      protocol: 241,
    };
    const direct = {
      ...tunnelled,
      gateway: address('2001:db8::2'),
      link: 'eth0',
      onlink: false,
    } as ActualObject;
    expect(lines([device, tunnelled], [made(device, undefined), direct])).toEqual([
      'remove route fd00:10:244:2::/64 via 2001:db8::2 dev eth0',
      'add route fd00:10:244:2::/64 via fd00:10:244:2:: dev flannel.1 onlink',
    ]);
  });

  test('what is on a device that is not there, and is not to be made, waits', () => {
    const { operations, waiting } = diff(keyed(peer), new Map(), ownership);
    expect(operations).toEqual([]);
    expect(waiting).toEqual(peer.map(keyOf));
  });
});
