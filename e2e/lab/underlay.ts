import { command } from './command.ts';

export type Family = 'v4' | 'v6' | 'dual';

/** The bridge's own addresses: everybody's default gateway. */
export const gateway = { v4: '192.168.50.254', v6: 'fd00:50::fe' } as const;

/**
 * The network between the nodes: a bridge in a namespace of its own, which is also everybody's default gateway.
 * Node i (from 1) has 192.168.50.i/24 and fd00:50::i/64 on eth0, as far as the family goes.
 */
export class Underlay {
  readonly name: string;
  readonly family: Family;

  constructor(name: string, family: Family) {
    this.name = name;
    this.family = family;
  }

  async start(): Promise<void> {
    await ip([`netns add ${this.name}`]);
    await ip(
      [
        'link set lo up',
        'link add br0 type bridge mcast_snooping 0 forward_delay 0',
        'link set br0 up',
        ...addresses(254, 'fe', this.family).map((address) => `address add ${address} dev br0`),
      ],
      this.name,
    );
  }

  netns(index: number): string {
    return `${this.name}-${index}`;
  }

  /** The node's first address. */
  address(index: number): string {
    return this.addressOf(index, this.family === 'v6' ? 6 : 4);
  }

  addressOf(index: number, version: 4 | 6): string {
    return version === 6 ? `fd00:50::${index}` : `192.168.50.${index}`;
  }

  /** Makes the node's network namespace, with eth0 in the bridge; in a dual-stack underlay it may have one family alone. */
  async plug(index: number, family = this.family): Promise<void> {
    const netns = this.netns(index);
    await ip([
      `netns add ${netns}`,
      `link add node${index} netns ${this.name} type veth peer name eth0 netns ${netns}`,
    ]);
    await Promise.all([
      ip([`link set node${index} master br0 up`], this.name),
      ip(
        [
          'link set lo up',
          // A link-local address of its own making would be of no use, and forward nothing, for the first two seconds.
          'link set eth0 addrgenmode none up',
          ...(family === 'v4' ? [] : [`address add fe80::50:${index}/64 dev eth0 nodad`]),
          ...addresses(index, String(index), family).map((address) => `address add ${address} dev eth0`),
          ...(family === 'v6' ? [] : [`route add default via ${gateway.v4}`]),
          ...(family === 'v4' ? [] : [`route add ::/0 via ${gateway.v6}`]),
        ],
        netns,
      ),
    ]);
  }

  /** Takes the node's network namespace away; the veth goes first, as a namespace gives its devices back late. */
  async unplug(index: number): Promise<void> {
    await ip([`link delete node${index}`], this.name);
    await ip([`netns delete ${this.netns(index)}`]);
  }
}

function addresses(v4: number, v6: string, family: Family): string[] {
  return [
    ...(family === 'v6' ? [] : [`192.168.50.${v4}/24`]),
    ...(family === 'v4' ? [] : [`fd00:50::${v6}/64 nodad`]),
  ];
}

/** Runs lines of iproute2 in one process, in a named namespace when one is given. */
async function ip(lines: readonly string[], netns?: string): Promise<void> {
  const inside = netns === undefined ? [] : ['-n', netns];
  await command('ip', [...inside, '-batch', '-'], `${lines.join('\n')}\n`);
}
