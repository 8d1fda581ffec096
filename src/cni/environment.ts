import { CniError, cniCodes } from './error.ts';
import { flawOf, whyNeverMade } from './attachment/link-name.ts';

export const verbs = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION'] as const;
export type Verb = (typeof verbs)[number];

/** What a container runtime says in the environment; empty where the verb does not ask for it. */
export interface CniEnvironment {
  command: Verb;
  containerID: string;
  netns: string;
  ifname: string;
  args: string;
  /** CNI_PATH's directories. */
  path: readonly string[];
}

/** Which variables each verb cannot do without, in the order in which missing ones are named. */
const required: Readonly<Record<Verb, readonly string[]>> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  GC: ['CNI_PATH'],
  STATUS: ['CNI_PATH'],
  VERSION: [],
};

/** Reads and checks the environment as the reference skeleton does, with its words. Throws a {@link CniError}. */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): CniEnvironment {
  const get = (name: string): string => env[name] ?? '';
  const command = get('CNI_COMMAND');
  if (!isVerb(command)) throw bad(`unknown CNI_COMMAND: ${command}`);
  const needs = required[command];
  if (needs.includes('CNI_CONTAINERID')) checkContainerID(get('CNI_CONTAINERID'));
  if (needs.includes('CNI_IFNAME')) checkIfname(get('CNI_IFNAME'));
  // Not for a DEL, which follows an ADD that was refused: there is no such link, and it says so.
  if (command === 'ADD') checkNewIfname(get('CNI_IFNAME'));
  const missing = needs.filter((name) => get(name) === '');
  if (missing.length > 0) throw bad(`required env variables [${missing.join(',')}] missing`);
  return {
    command,
    containerID: get('CNI_CONTAINERID'),
    netns: get('CNI_NETNS'),
    ifname: get('CNI_IFNAME'),
    args: get('CNI_ARGS'),
    path: get('CNI_PATH').split(':').filter(Boolean),
  };
}

/** What container IDs and network names are made of (the specification, sections 1 and 2). */
export const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

const isVerb = (command: string): command is Verb => verbs.some((verb) => verb === command);

function checkContainerID(id: string): void {
  if (id !== '' && !namePattern.test(id)) throw bad('invalid characters in containerID', id);
}

function checkIfname(ifname: string): void {
  switch (flawOf(ifname)) {
    case 'length':
      throw bad('interface name is too long', 'interface name should be less than 16 characters');
    case 'dots':
      throw bad('interface name is . or ..');
    case 'characters':
      throw bad('interface name contains / or : or whitespace characters');
    case undefined:
  }
}

/** The reference lets it pass, and the kernel makes another link, or none. */
function checkNewIfname(ifname: string): void {
  const why = whyNeverMade(ifname);
  if (why !== undefined) throw bad(`interface name cannot be "${ifname}": ${why}`, 'choose another name');
}

const bad = (msg: string, details = ''): CniError => new CniError(cniCodes.badEnvironment, msg, details);
