import { describe, expect, test } from 'vitest';
import { logWriter } from '../../src/daemon/report/log-writer.ts';

/** A reader with room for so many bytes. */
function reader(room: number) {
  const state = { room, text: '', pauses: 0, readsInPause: 0 };
  const line = logWriter({
    write(bytes) {
      const length = Math.min(bytes.length, state.room);
      if (length === 0) throw Object.assign(new Error('no room'), { code: 'EAGAIN' });
      state.room -= length;
      state.text += Buffer.from(bytes.subarray(0, length)).toString();
      return length;
    },
    pause() {
      state.pauses++;
      state.room += state.readsInPause;
    },
    lostLines: (count) => `${count} lost\n`,
  });
  return { state, line };
}

describe('the log', () => {
  test('goes out whole when there is room', () => {
    const { state, line } = reader(100);
    line('one\n');
    line('two\n');
    expect(state).toMatchObject({ text: 'one\ntwo\n', pauses: 0 });
  });

  test('waits a moment for a reader that is slow', () => {
    const { state, line } = reader(2);
    state.readsInPause = 1;
    line('a long line\n');
    expect(state.text).toBe('a long line\n');
  });

  test('does not wait for ever, tells later how many lines are missing, and tears none', () => {
    const { state, line } = reader(6);
    line('one\n');
    line('two\n'); // begins, and has no room to end
    const { pauses } = state;
    for (let i = 0; i < 1000; i++) line('lost\n');
    expect(state.text).toBe('one\ntw');
    expect(state.pauses).toBeLessThan(pauses + 100);
    state.room = 1000;
    line('three\n');
    expect(state.text).toBe('one\ntwo\n1000 lost\nthree\n');
    line('four\n');
    expect(state.text).toBe('one\ntwo\n1000 lost\nthree\nfour\n');
  });
});
