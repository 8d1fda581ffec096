import { readFileSync, writeFileSync } from 'node:fs';
import type { Run } from '../../firewall/process.ts';
import type { Family } from '../../net/address.ts';
import * as k from '../../netlink/constants.ts';
import type { SyncSession } from '../../netlink/session.ts';
import type { Log } from '../../world/log.ts';
import { mainRoutes, observeHost } from './host.ts';
import { bridgeSysctl, type HostState, planHost, type Sysctl } from './host-preparation.ts';

export interface HostPreparerOptions {
  readonly families: readonly Family[];
  /** `--manage-accept-ra`. */
  readonly manageAcceptRa: boolean;
  readonly session: SyncSession;
  readonly run: Run;
  readonly log: Log;
}

/** Sees to it that the host forwards, in this process's own namespace. What it may not do it tells, once. */
export class HostPreparer {
  readonly #options: HostPreparerOptions;
  readonly #told = new Set<string>();
  #loading: Promise<unknown> | undefined;

  constructor(options: HostPreparerOptions) {
    this.#options = options;
  }

  /** `external` is the interface for traffic between nodes. */
  async ensure(external: string): Promise<void> {
    const { manageAcceptRa, log } = this.#options;
    await this.#loadBridgeNetfilter();
    const { writes, warnings } = planHost(this.#observe(external), manageAcceptRa);
    const written = writes.filter((write) => this.#write(write));
    for (const warning of warnings) this.#tell(warning);
    if (written.length > 0)
      log.info({ sysctls: written.map(({ name, value }) => `${name}=${value}`) }, 'sysctls');
  }

  /** What {@link ensure} would write, as sysctl(8) takes it. */
  plan(external: string): string[] {
    const { writes } = planHost(this.#observe(external), this.#options.manageAcceptRa);
    return writes.map(({ name, value }) => `${name}=${value}`);
  }

  #observe(external: string): HostState {
    const { session, families } = this.#options;
    const routes = families.includes(6) ? mainRoutes(session, k.AF_INET6) : [];
    const defaults = routes.filter(
      ({ rtm_dst_len, rtm_type }) => rtm_dst_len === 0 && rtm_type === k.RTN_UNICAST,
    );
    const advertised = defaults.filter(({ rtm_protocol }) => rtm_protocol === k.RTPROT_RA);
    const indexes = new Set(
      advertised.map(({ RTA_OIF, RTA_MULTIPATH }) => RTA_OIF ?? RTA_MULTIPATH?.[0]?.rtnh_ifindex),
    );
    const names =
      indexes.size === 0 ? [] : observeHost(session).links.filter(({ index }) => indexes.has(index));
    return {
      families,
      external,
      routers: names.map(({ name }) => name),
      hasIPv6Default: defaults.length > 0,
      sysctl: read,
    };
  }

  /** Once, for all who wait: where it fails, it fails for want of a module or of leave. */
  async #loadBridgeNetfilter(): Promise<void> {
    if (read(bridgeSysctl[4]) !== undefined) return;
    this.#loading ??= this.#options.run('modprobe', ['br_netfilter']);
    await this.#loading;
  }

  /** Whether it could. */
  #write({ name, value }: Sysctl): boolean {
    try {
      writeFileSync(fileOf(name), value);
      return true;
    } catch (error) {
      const why = (error as NodeJS.ErrnoException).code ?? String(error);
      this.#tell(
        `${name} must be ${value} and cannot be set from here (${why}): set it on the host with sysctl(8)`,
      );
      return false;
    }
  }

  #tell(warning: string): void {
    if (this.#told.has(warning)) return;
    this.#told.add(warning);
    this.#options.log.warn({}, warning);
  }
}

/** sysctl(8)'s names: a dot separates, a slash is a dot of a link's name. */
const fileOf = (name: string): string =>
  `/proc/sys/${name.replaceAll(/[./]/g, (sign) => (sign === '.' ? '/' : '.'))}`;

function read(name: string): string | undefined {
  try {
    return readFileSync(fileOf(name), 'utf8').trim();
  } catch {
    return undefined;
  }
}
