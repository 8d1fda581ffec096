import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openStore, type Store } from '../../src/ipam/store.ts';
import { systemClock } from '../../src/world/clock.ts';
import { owner, setsOf } from './scratch.ts';

const sets = setsOf(['10.0.0.0/29', '10.0.1.0/30'], ['fd00::/125']);
const orders = [
  [2, 3, 4, 5, 6].map((n) => `10.0.0.${n}`).concat('10.0.1.2'),
  [2, 3, 4, 5, 6, 7].map((n) => `fd00::${n}`),
];

/** Host-local's rules, done in the plainest way: a map, and a walk along a list. */
class Model {
  readonly held = new Map<string, string>();
  readonly last: (string | undefined)[] = [undefined, undefined];

  add(id: string): string[] | undefined {
    const taken: string[] = [];
    for (const [set, order] of orders.entries()) {
      const start = order.indexOf(this.last[set] ?? '') + 1;
      const free = [...order.slice(start), ...order.slice(0, start)].find((each) => !this.held.has(each));
      const duplicate = order.some((each) => this.held.get(each) === id);
      if (free === undefined || duplicate) {
        for (const each of taken) this.held.delete(each);
        return undefined;
      }
      taken.push(free);
      this.held.set(free, id);
      this.last[set] = free;
    }
    return taken;
  }

  release(id: string): string[] {
    const released = [...this.held].filter(([, holder]) => holder === id).map(([each]) => each);
    for (const each of released) this.held.delete(each);
    return released.toSorted();
  }
}

class World {
  readonly directory = fs.mkdtempSync(path.join(tmpdir(), 'fl-ipam-model-'));
  store = this.open();

  open(): Store {
    return openStore({ directory: this.directory, files: fs, flock: () => 0, clock: systemClock });
  }

  remove(): void {
    this.store.close();
    fs.rmSync(this.directory, { recursive: true });
  }

  onDisc(): Map<string, string> {
    const names = fs.readdirSync(this.directory).filter((name) => /^(10\.|fd00)/.test(name));
    return new Map(
      names.map((name) => [
        name,
        fs.readFileSync(path.join(this.directory, name), 'utf8').split('\r\n')[0] ?? '',
      ]),
    );
  }
}

type Step = fc.AsyncCommand<Model, World>;
const step = (name: string, run: (model: Model, world: World) => Promise<void>): Step => ({
  check: () => true,
  async run(model, world) {
    await run(model, world);
    expect(world.onDisc()).toEqual(model.held);
  },
  toString: () => name,
});

const add = (id: string) =>
  step(`add ${id}`, async (model, world) => {
    const got = await world.store
      .withLock((locked) => locked.allocate(sets, owner(id)).map((each) => each.address.split('/')[0] ?? ''))
      .catch(() => undefined);
    expect(got).toEqual(model.add(id));
  });
const release = (id: string) =>
  step(`release ${id}`, async (model, world) => {
    const released = await world.store.withLock((locked) => locked.release(owner(id)));
    expect(released.toSorted()).toEqual(model.release(id));
  });
const restart = step('restart', async (_, world) => {
  world.store.close();
  world.store = world.open();
});
const foreignAdd = (name: string, id: string) =>
  step(`another writes ${name} for ${id}`, async (model, world) => {
    if (model.held.has(name)) return;
    fs.writeFileSync(path.join(world.directory, name), `${id}\r\neth0`, { flag: 'wx' });
    model.held.set(name, id);
  });
const foreignRemove = (name: string) =>
  step(`another removes ${name}`, async (model, world) => {
    fs.rmSync(path.join(world.directory, name), { force: true });
    model.held.delete(name);
  });
const crash = (name: string) =>
  step(`another dies making ${name}`, async (model, world) => {
    if (model.held.has(name)) return;
    fs.writeFileSync(path.join(world.directory, name), '');
    await world.store.withLock(() => {});
  });

describe('the store', () => {
  test('does what a naive model does, whatever happens in whatever order', async () => {
    const id = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
    const name = fc.constantFrom(...orders.flat());
    const steps = [
      id.map(add),
      id.map(add),
      id.map(release),
      fc.constant(restart),
      fc.tuple(name, id).map(([where, who]) => foreignAdd(where, who)),
      name.map(foreignRemove),
      name.map(crash),
    ];
    await fc.assert(
      fc.asyncProperty(fc.commands(steps, { maxCommands: 40 }), async (commands) => {
        const world = new World();
        try {
          await fc.asyncModelRun(() => ({ model: new Model(), real: world }), commands);
        } finally {
          world.remove();
        }
      }),
      { numRuns: 60 },
    );
  }, 30_000);
});
