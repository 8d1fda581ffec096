import { expect, test } from 'vitest';
import { HttpError } from '../../../src/http/error.ts';
import { NodeWatch } from '../../../src/lease/kubernetes/node-watch.ts';
import { RegistryError } from '../../../src/lease/registry.ts';
import { VirtualClock } from '../../kit/virtual-clock.ts';

const hour = 3_600_000;
const cut = () => new RegistryError('cut', { cause: new HttpError('the connection was cut', 'ECONNRESET') });

/** Starts a watch against a server that ends each watch in its own way; the answer is when watches were opened. */
function watching(
  clock: VirtualClock,
  ends: (opened: number) => Promise<void>,
): { opened: number[]; close(): void } {
  const opened: number[] = [];
  const watch = new NodeWatch({
    api: {
      list: () => Promise.resolve('1'),
      watch: async (_from, _onEvent, { onBegin }) => {
        opened.push(clock.monotonic());
        const end = ends(opened.length);
        onBegin();
        await end;
      },
    },
    leaseOf: () => undefined,
    onNode: () => {},
    sink: { all: () => {}, changed: () => {}, gone: () => {}, stale: () => {} },
    clock,
    // The longest waits.
    random: (length) => new Uint8Array(length),
  });
  watch.start();
  return { opened, close: () => watch.close() };
}

const passes = (clock: VirtualClock, ms: number): Promise<void> =>
  new Promise((resolve) => {
    clock.after(ms, resolve);
  });

test('a watch that a proxy cuts after an hour is followed by the next at once, each time', async () => {
  const clock = new VirtualClock();
  const { opened, close } = watching(clock, async () => {
    await passes(clock, hour);
    throw cut();
  });
  await clock.advance(10 * (hour + 200));
  close();
  expect(opened.slice(0, 10)).toEqual(Array.from({ length: 10 }, (_, i) => i * (hour + 200)));
});

test('one that is cut at once waits longer each time', async () => {
  const clock = new VirtualClock();
  const { opened, close } = watching(clock, () => Promise.reject(cut()));
  await clock.advance(7000);
  close();
  expect(opened).toEqual([0, 200, 600, 1400, 3000, 6200]);
});

test('one that its time ends is followed by the next without a wait', async () => {
  const clock = new VirtualClock();
  const { opened, close } = watching(clock, () => passes(clock, 300_000));
  await clock.advance(1_000_000);
  close();
  expect(opened).toEqual([0, 300_000, 600_000, 900_000]);
});
