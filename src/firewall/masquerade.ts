import type { Family } from '../net/address.ts';
import type { Prefix } from '../net/prefix.ts';
import type { MasqueradeBackend, PodMasquerade } from './pod-masquerade.ts';
import { addressesOfFamily } from './pod-masquerade.ts';
import {
  iptablesContainers,
  iptablesSetUp,
  iptablesTearDown,
  iptablesUndo,
} from './pod-masquerade-iptables.ts';
import {
  type NftablesRule,
  nftablesChain,
  nftablesCollect,
  nftablesRules,
  nftablesSetUp,
  nftablesTable,
  nftablesTearDown,
} from './pod-masquerade-nftables.ts';
import type { Outcome, Run } from './process.ts';

const families: readonly Family[] = [4, 6];
const iptables = (family: Family, tool: 'save' | 'restore'): string =>
  `ip${family === 4 ? '' : '6'}tables-${tool}`;

/** Longer than any healthy holder keeps the xtables lock, shorter than a container runtime waits. */
const lockSeconds = 30;

/**
 * The backend for a configuration that names none: iptables, unless only nft works here. Throws when
 * neither does.
 */
export async function chooseBackend(run: Run): Promise<MasqueradeBackend> {
  const iptables = await tryBackend(run, 'iptables');
  if (iptables === undefined) return 'iptables';
  const nft = await tryBackend(run, 'nftables');
  if (nft === undefined) return 'nftables';
  throw new Error(`ipMasq needs iptables or nft, and neither works here: iptables: ${iptables}; nft: ${nft}`);
}

/** Why a backend does not work here; undefined when it does. */
export async function tryBackend(run: Run, backend: MasqueradeBackend): Promise<string | undefined> {
  const outcome =
    backend === 'iptables'
      ? await run('iptables', ['--wait', String(lockSeconds), '-t', 'nat', '-S', 'POSTROUTING'])
      : await run('nft', ['--check', '-f', '-'], `add table ${nftablesTable}\n`);
  return outcome.code === 0 ? undefined : reason(outcome);
}

/** Puts an attachment's rules in place: one process a family with iptables, both at once; one with nft. Throws an Error. */
export async function setUpMasquerade(
  run: Run,
  backend: MasqueradeBackend,
  masquerade: PodMasquerade,
  others: readonly Prefix[],
): Promise<void> {
  if (backend === 'nftables') return must(run, 'nft', ['-f', '-'], nftablesSetUp(masquerade));
  await inEachFamily(async (family) => {
    const input = iptablesSetUp(masquerade, family, others);
    if (input !== undefined) await restore(run, family, input);
  });
}

/** Takes them away, whatever is left of them. `others` as in iptablesSetUp. Throws an Error. */
export async function tearDownMasquerade(
  run: Run,
  backend: MasqueradeBackend,
  masquerade: PodMasquerade,
  others: readonly Prefix[],
): Promise<void> {
  if (backend === 'nftables') {
    return deleteRules(run, nftablesTearDown(masquerade, await listRules(run)));
  }
  const affected = familiesOf(masquerade);
  await inEachFamily(async (family) => {
    if (!affected.includes(family)) return;
    // As they were made is how they are, nearly always: nobody needs to list all rules of the node for that.
    const direct = iptablesUndo(masquerade, family, others);
    if (direct !== undefined && (await tryRestore(run, family, direct)).code === 0) return;
    const input = iptablesTearDown(masquerade, family, await save(run, family), others);
    if (input !== undefined) await restore(run, family, input);
  });
}

/** The first failure is thrown when both are done: nothing goes on behind the caller's back. */
async function inEachFamily(work: (family: Family) => Promise<void>): Promise<void> {
  const outcomes = await Promise.allSettled(families.map(work));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

/** Takes away the rules of every container of `network` that has no attachment among the `valid` ones. */
export async function collectMasquerade(
  run: Run,
  backend: MasqueradeBackend,
  network: string,
  valid: readonly { ifname: string; containerID: string }[],
): Promise<void> {
  if (backend === 'nftables') return deleteRules(run, nftablesCollect(network, valid, await listRules(run)));
  for (const family of families) {
    for (const containerID of iptablesContainers(await save(run, family), network)) {
      if (valid.some((attachment) => attachment.containerID === containerID)) continue;
      const stale = { network, containerID, ifname: '', addresses: [] };
      const input = iptablesTearDown(stale, family, await save(run, family));
      if (input !== undefined) await restore(run, family, input);
    }
  }
}

/** Rules of unknown addresses may be of either family. */
function familiesOf({ addresses }: PodMasquerade): readonly Family[] {
  if (addresses.length === 0) return families;
  return families.filter((family) => addressesOfFamily(addresses, family).length > 0);
}

const save = (run: Run, family: Family): Promise<string> =>
  shown(run, iptables(family, 'save'), ['-t', 'nat']);

/**
 * What a program shows; nothing where it fails, or is not installed: then it has made no rules. Throws an Error when it could not
 * be started or did not come to its end, as on a machine that is short of something: rules may be there.
 */
async function shown(run: Run, program: string, args: readonly string[]): Promise<string> {
  const outcome = await run(program, args);
  if (outcome.code === 0) return outcome.stdout;
  if (outcome.code !== -1 || outcome.stderr.includes('ENOENT')) return '';
  throw new Error(
    `${program} does not tell whether masquerade rules are left: ${outcome.stderr || 'it was killed'}`,
  );
}

const restoreArguments = ['--noflush', '--wait', String(lockSeconds)];

const restore = (run: Run, family: Family, input: string): Promise<void> =>
  must(run, iptables(family, 'restore'), restoreArguments, input);

const tryRestore = (run: Run, family: Family, input: string): Promise<Outcome> =>
  run(iptables(family, 'restore'), restoreArguments, input);

async function listRules(run: Run): Promise<NftablesRule[]> {
  const args = ['-j', 'list', 'chain', ...nftablesTable.split(' '), nftablesChain];
  const listed = await shown(run, 'nft', args);
  return listed === '' ? [] : nftablesRules(listed);
}

async function deleteRules(run: Run, script: string | undefined): Promise<void> {
  if (script !== undefined) await must(run, 'nft', ['-f', '-'], script);
}

async function must(run: Run, program: string, args: readonly string[], stdin: string): Promise<void> {
  const outcome = await run(program, args, stdin);
  if (outcome.code !== 0) throw new Error(`${program} refused the masquerade rules: ${reason(outcome)}`);
}

const reason = ({ code, stderr }: { code: number; stderr: string }): string =>
  stderr.trim() || `exit status ${code}`;
