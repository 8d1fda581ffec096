import { expect, test } from 'vitest';
import { KeySpace } from '../../../src/lease/etcd/key-space.ts';
import { KeyWatch } from '../../../src/lease/etcd/key-watch.ts';
import type { WatchMessage } from '../../../src/lease/etcd/messages.ts';
import type { EtcdStore } from '../../../src/lease/etcd/store.ts';
import { idle, VirtualClock } from '../../kit/virtual-clock.ts';

/** An etcd whose watches end, and whose answers come, when the test says so. */
class StagedStore {
  readonly gateway = { name: 'etcd', endpoint: 'http://127.0.0.1:2379' };
  readonly questions: (() => void)[] = [];
  endWatch = (): void => {};

  list() {
    return Promise.resolve({ kvs: [], revision: 1n });
  }

  answers(): Promise<void> {
    return new Promise((resolve) => this.questions.push(resolve));
  }

  async *watch(): AsyncGenerator<WatchMessage> {
    yield { is: 'created', revision: 1n };
    await new Promise<void>((resolve) => {
      this.endWatch = resolve;
    });
  }
}

test('a watch that ends while etcd is asked whether it lives leaves nobody behind who goes on asking', async () => {
  const clock = new VirtualClock();
  const store = new StagedStore();
  const sink = { all() {}, put() {}, deleted() {}, stale() {} };
  const range = new KeySpace('/n').leases;
  const random = (bytes: number) => new Uint8Array(bytes);
  const watch = new KeyWatch({ store: store as unknown as EtcdStore, range, sink, clock, random });
  watch.start();
  await clock.advance(30_000);
  expect(store.questions).toHaveLength(1);
  store.endWatch();
  await idle();
  for (const answer of store.questions) answer();
  await clock.advance(30_000);
  expect(store.questions).toHaveLength(2);
  watch.close();
});
