import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { legacyChainText } from '../../src/firewall/legacy-table.ts';

const sizes = { 4: 112, 6: 168 } as const;
const targetOffsets = { 4: 88, 6: 140 } as const;

type Family = 4 | 6;
interface Spec {
  /** 'ERROR' begins a chain, '' is a verdict. */
  readonly target: string;
  readonly data: string | number;
  readonly packets?: number;
}

/** struct ipt_entry, or ip6t_entry, with a target of 64 bytes. */
function entry(family: Family, { target, data, packets = 0 }: Spec): Buffer {
  const size = sizes[family];
  const bytes = Buffer.alloc(size + 64);
  bytes.writeUInt16LE(size, targetOffsets[family]);
  bytes.writeUInt16LE(bytes.length, targetOffsets[family] + 2);
  bytes.writeBigUInt64LE(BigInt(packets), size - 16);
  bytes.writeUInt16LE(64, size);
  bytes.write(target, size + 2, 'latin1');
  if (typeof data === 'string') bytes.write(data, size + 32, 'latin1');
  else bytes.writeInt32LE(data, size + 32);
  return bytes;
}

/** POSTROUTING from its first entry to its last, which is the policy. */
function table(family: Family, postrouting: readonly Spec[], rest: readonly Spec[]) {
  const length = sizes[family] + 64;
  const info = Buffer.alloc(84);
  info.writeUInt32LE(0, 36 + 4 * 4);
  info.writeUInt32LE(postrouting.length * length, 56 + 4 * 4);
  const policy: Spec = { target: '', data: -2 };
  return {
    family,
    info,
    entries: Buffer.concat([...postrouting, policy, ...rest].map((spec) => entry(family, spec))),
  };
}

const accept: Spec = { target: '', data: -2 };
const masquerade: Spec = { target: 'MASQUERADE', data: 16 };
const begin = (data: string): Spec => ({ target: 'ERROR', data });
const end: Spec = { target: '', data: -5 };

describe.each([4, 6] as const)('a legacy table of IPv%s', (family) => {
  const length = sizes[family] + 64;
  const chain = [begin('FLANNEL-POSTRTG'), accept, masquerade, end, begin('ERROR')];
  /** With one jump, where so many rules are before the chain's. */
  const withJump = (before: readonly Spec[]) => {
    const jump = { target: '', data: (before.length + 3) * length };
    return table(family, [...before, jump], chain);
  };
  const text = (of: ReturnType<typeof table>) => legacyChainText(of, 4, 'FLANNEL-POSTRTG');

  test('has the chain’s rules in their order, and the jump', () => {
    expect(text(withJump([]))?.match(/^(rule|jump)/gm)).toEqual(['rule', 'rule', 'rule', 'jump']);
    expect(text(table(family, [], chain))?.match(/^jump/gm)).toBeNull();
    expect(text(table(family, [], [begin('OTHER'), end, begin('ERROR')]))).toBeUndefined();
  });

  test('is the same wherever the chain stands and whatever was counted', () => {
    const busy: Spec = { ...accept, packets: 7 };
    const counted = table(family, [], [begin('FLANNEL-POSTRTG'), busy, masquerade, end, begin('ERROR')]);
    expect(text(counted)).toBe(text(table(family, [], chain)));
    expect(text(withJump([accept, masquerade]))).toBe(text(withJump([])));
  });

  test('is another when a rule is missing, moved or added', () => {
    const right = text(table(family, [], chain));
    for (const rules of [[accept], [masquerade, accept], [accept, accept, masquerade]]) {
      const other = table(family, [], [begin('FLANNEL-POSTRTG'), ...rules, end, begin('ERROR')]);
      expect(text(other)).not.toBe(right);
    }
  });

  test('that is none is a RangeError, or has no such chain', () => {
    const noise = fc.record({
      info: fc.uint8Array({ minLength: 84, maxLength: 84 }),
      entries: fc.uint8Array(),
    });
    fc.assert(
      fc.property(noise, ({ info, entries }) => {
        try {
          text({ family, info: Buffer.from(info), entries: Buffer.from(entries) });
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
    );
  });
});
