import path from 'node:path';
import type { MasqueradeBackend } from '../../firewall/pod-masquerade.ts';
import type { Mac } from '../../net/mac.ts';
import type { Prefix } from '../../net/prefix.ts';
import type { Files } from './files.ts';

/** What names an attachment, of one network. */
export interface AttachmentKey {
  network: string;
  containerID: string;
  ifname: string;
}

/** What a DEL needs to know when nothing else is left: written when the links are made at the latest, before the addresses are set; removed last. */
export interface AttachmentRecord extends AttachmentKey {
  /** CNI_NETNS at ADD. */
  netns: string;
  /** The node's end of the veth pair; its name is random. Empty: it was not made. */
  hostLink: string;
  hostMac: Mac;
  /** Where the node's end is: World.hostNetns at ADD. Undefined: of a version that did not say. */
  hostNetns?: string | undefined;
  addresses: readonly Prefix[];
  /** host-local's directory, without the network. */
  ipamDataDir: string;
  /** Which rules hide the addresses; undefined: none. */
  masquerade?: MasqueradeBackend | undefined;
}

/**
 * Our records, one file for each attachment, in `flannelette/<network>/<containerID>:<ifname>` beside the
 * directory of flannel's own state files (`dataDir`): /var/lib/cni/flannelette.
 */
export class Records {
  readonly #files: Files;
  readonly directory: string;

  constructor(files: Files, dataDir: string) {
    this.#files = files;
    this.directory = path.join(path.dirname(path.resolve(dataDir)), 'flannelette');
  }

  /** Undefined when there is none, or none that can be read: a torn file is as good as none. */
  read(key: AttachmentKey): AttachmentRecord | undefined {
    return this.#parse(this.#file(key), key);
  }

  /** Whether there is one, readable or not. */
  has(key: AttachmentKey): boolean {
    return this.#files.has(this.#file(key));
  }

  /** When it was written, in milliseconds since the epoch; undefined when there is none. */
  modified(key: AttachmentKey): number | undefined {
    return this.#files.modified(this.#file(key));
  }

  /** Throws what the files throw. */
  write(record: AttachmentRecord): void {
    this.#files.write(this.#file(record), JSON.stringify(record));
  }

  remove(key: AttachmentKey): void {
    this.#files.remove(this.#file(key));
  }

  /** Every attachment of which there is a record, readable or not, of one network or of all. */
  keys(network?: string): AttachmentKey[] {
    const networks = network === undefined ? this.#files.list(this.directory) : [network];
    return networks.flatMap((name) =>
      this.#files.list(path.join(this.directory, name)).flatMap((file) => {
        const colon = file.indexOf(':');
        if (file.startsWith('.') || colon === -1) return [];
        return [{ network: name, containerID: file.slice(0, colon), ifname: file.slice(colon + 1) }];
      }),
    );
  }

  /** The same of one container in one network. */
  ofContainer({ network, containerID }: Omit<AttachmentKey, 'ifname'>): AttachmentKey[] {
    const prefix = `${containerID}:`;
    return this.#files
      .list(path.join(this.directory, network))
      .filter((file) => file.startsWith(prefix))
      .map((file) => ({ network, containerID, ifname: file.slice(prefix.length) }));
  }

  /** Container IDs and interface names hold no colon, network names no slash. */
  #file({ network, containerID, ifname }: AttachmentKey): string {
    return path.join(this.directory, network, `${containerID}:${ifname}`);
  }

  #parse(file: string, key: AttachmentKey): AttachmentRecord | undefined {
    try {
      const record = JSON.parse(this.#files.read(file) ?? 'null') as Partial<AttachmentRecord> | null;
      if (typeof record?.hostLink !== 'string' || !Array.isArray(record.addresses)) return undefined;
      return { netns: '', hostMac: '' as Mac, ipamDataDir: '', ...record, ...key } as AttachmentRecord;
    } catch (error) {
      if (error instanceof SyntaxError) return undefined;
      throw error;
    }
  }
}

export const sameKey = (one: AttachmentKey, other: AttachmentKey): boolean =>
  one.network === other.network && one.containerID === other.containerID && one.ifname === other.ifname;

/** The key as one text. Network names hold no slash, and container IDs no colon. */
export const keyText = ({ network, containerID, ifname }: AttachmentKey): string =>
  `${network}/${containerID}:${ifname}`;
