import net from 'node:net';
import { encodeFrame, FrameReader } from '../cni/launcher/frame.ts';
import { type Status, statusFrame } from '../daemon/report/status.ts';
import { milliseconds, type Print } from './print.ts';
import { Refusal } from './refusal.ts';
import { table } from './table.ts';

/** How long flanneld may take to answer, in milliseconds. */
const limit = 5000;

/** Asks the flanneld that listens on `socket`. Rejects with a {@link Refusal}. */
export function askStatus(socket: string): Promise<Status> {
  return new Promise((resolve, reject) => {
    const reader = new FrameReader();
    const connection = net.connect(socket, () => connection.write(encodeFrame(statusFrame)));
    const refuse = (why: string) => {
      connection.destroy();
      reject(new Refusal(`flanneld does not answer at ${socket}: ${why}`));
    };
    connection.setTimeout(limit, () => refuse(`nothing came in ${limit / 1000} s`));
    connection.on('error', (error: NodeJS.ErrnoException) => {
      const down = error.code === 'ENOENT' || error.code === 'ECONNREFUSED';
      refuse(down ? 'it does not run, or listens elsewhere (--socket)' : error.message);
    });
    connection.on('close', () => refuse('it closed the connection'));
    connection.on('data', (bytes: Buffer) => {
      try {
        const [frame] = reader.push(bytes);
        if (frame === undefined) return;
        connection.removeAllListeners('close').destroy();
        resolve(JSON.parse(frame.payload.toString('utf8')) as Status);
      } catch (error) {
        refuse(`what listens there does not speak as flanneld does: ${(error as Error).message}`);
      }
    });
  });
}

/** `cni-tool node`: how this node stands, for a person or as JSON. The answer is 0, or 1 when something is amiss. */
export async function showDaemonStatus(socket: string, json: boolean, print: Print): Promise<number> {
  const status = await askStatus(socket);
  const { configuration, firewall, kernel, refused, registry, waitingFor } = status;
  const troubles = [
    ...waitingFor.map((what) => `waits for ${what}`),
    ...(registry.staleSince === undefined
      ? []
      : [`the ${registry.name} is away since ${registry.staleSince}: ${registry.why}`]),
    ...refused.map(({ id, reason }) => `the lease of ${id} is refused: ${reason}`),
    ...[status.interface?.lost, firewall, configuration].flatMap((trouble) => trouble ?? []),
    ...kernel.failed.map(({ why }) => why),
    ...kernel.foreign.map((what) => `in the way, and not ours: ${what}`),
  ];
  if (json) print.line(JSON.stringify(status, undefined, 2));
  else showForPeople(status, troubles, print);
  return troubles.length === 0 ? 0 : 1;
}

function showForPeople(status: Status, troubles: readonly string[], print: Print): void {
  const { lease, peers, kernel } = status;
  const { attributes } = lease ?? {};
  print.line(
    table(
      ['NODE', status.node],
      [
        ['version', `${status.version}, up for ${milliseconds(status.uptime)}`],
        ['registry', status.registry.name],
        ['interface', `${status.interface?.name} mtu ${status.interface?.mtu}`],
        ['backend', `${status.backend}${status.wireguard?.userspace === true ? ', by wireguard-go' : ''}`],
        ['public IP', both(attributes?.publicIP, attributes?.publicIPv6)],
        ['subnet', both(lease?.subnet, lease?.ipv6Subnet)],
        ['kernel', `${kernel.objects} of ${kernel.wanted} objects in place, ${kernel.repairs} repairs`],
        ...status.addresses.map(({ network, usage }) => [
          `addresses of ${network}`,
          usage.map(({ used, total }) => `${used} of ${rounded(total)} in use`).join(', '),
        ]),
      ],
    ),
  );
  if (peers.length > 0) {
    print.line();
    const { wireguard } = status;
    const rows = peers.map(({ id, subnet, ipv6Subnet, attributes: { publicIP, publicIPv6 } }) => [
      id,
      both(publicIP, publicIPv6),
      both(subnet, ipv6Subnet),
      ...(wireguard === undefined ? [] : [handshake(wireguard.handshakes[id] ?? null)]),
    ]);
    const last = wireguard === undefined ? [] : ['HANDSHAKE'];
    print.line(table(['PEER', 'PUBLIC IP', 'SUBNET', ...last], rows));
  }
  if (status.wireguard?.note !== undefined) {
    print.line();
    print.line(`Note: ${status.wireguard.note}.`);
  }
  print.line();
  if (troubles.length === 0) print.good('All is well.');
  for (const trouble of troubles) print.bad(trouble);
}

const handshake = (seconds: number | null): string => (seconds === null ? 'not yet' : `${seconds} s ago`);

/** An IPv6 subnet has more addresses than a number tells exactly. */
const rounded = (total: number): string => (total > 1e9 ? total.toExponential(1) : String(total));

const both = (...texts: (string | undefined)[]): string =>
  texts.filter((text) => text !== undefined).join(' ');
