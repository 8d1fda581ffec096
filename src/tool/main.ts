import yargs, { type Argv } from 'yargs';
import { hideBin } from 'yargs/helpers';
import { loadBinding } from '../../native/binding.ts';
import { version } from '../daemon/version.ts';
import { systemRandom } from '../world/random.ts';
import { AttachmentFiles } from './attachment-file.ts';
import type { Verb } from './chain.ts';
import { showDaemonStatus } from './daemon-status.ts';
import { labDown } from './lab/down.ts';
import { labExec } from './lab/exec.ts';
import { checkLabName, defaultName, findLab } from './lab/layout.ts';
import { showStatus } from './lab/status.ts';
import { labUp } from './lab/up.ts';
import { type Commands, misuse } from './misuse.ts';
import { printTo } from './print.ts';
import { Refusal } from './refusal.ts';
import { runVerb } from './verb.ts';

const print = printTo(process.stdout);

/** What each verb is for, in the order in which the help names them. */
const verbs: readonly (readonly [name: string, verb: Verb, what: string])[] = [
  ['add', 'ADD', 'give a namespace its network, and remember it for check and del'],
  ['del', 'DEL', 'take it away again'],
  ['check', 'CHECK', 'ask the plugins whether it is still as it was made'],
  ['gc', 'GC', 'remove every attachment that is not listed as valid'],
  ['status', 'STATUS', 'ask the plugins whether they could serve an ADD'],
  ['version', 'VERSION', 'ask the plugins which versions of CNI they speak'],
];

const labVerbs = ['up', 'status', 'exec', 'down'];

const commands: Commands = {
  ...Object.fromEntries(verbs.map(([name]) => [name, []])),
  node: [],
  lab: labVerbs,
};

/** `add, del or check` */
const oneOf = (names: readonly string[]): string => `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;

function verbCommand(cli: Argv, [name, verb, what]: (typeof verbs)[number]): Argv {
  const ofPod = { hidden: !['ADD', 'DEL', 'CHECK'].includes(verb) };
  const ofGc = { hidden: verb !== 'GC' };
  return cli.command(
    name,
    what,
    (options) =>
      options
        .option('conflist', {
          type: 'string',
          describe: 'a network configuration, or the directory whose first one is taken',
          default: verb === 'DEL' || verb === 'CHECK' ? undefined : '/etc/cni/net.d',
        })
        .option('cni-path', {
          type: 'string',
          describe: 'directories of plugins, separated by colons',
          default: process.env['CNI_PATH'] ?? '/opt/cni/bin:/usr/lib/cni',
        })
        .option('container-id', {
          ...ofPod,
          type: 'string',
          describe:
            verb === 'ADD' ? 'a container ID; without it, one is made up' : 'what add said; else the newest',
        })
        .option('netns', {
          ...ofPod,
          type: 'string',
          describe:
            verb === 'ADD'
              ? 'path of a network namespace; without it, one is made'
              : 'path of its network namespace, for one that add did not make',
        })
        .option('ifname', { ...ofPod, type: 'string', describe: 'name of the interface', default: 'eth0' })
        .option('args', { ...ofPod, type: 'string', describe: 'CNI_ARGS: K=V;K=V', default: '' })
        .option('capability-args', {
          ...ofPod,
          type: 'string',
          describe: 'runtimeConfig by capability, JSON',
          default: '{}',
        })
        .option('keep', {
          ...ofGc,
          type: 'string',
          array: true,
          describe: 'a valid attachment, ID or ID/IFNAME',
        })
        .option('none', { ...ofGc, type: 'boolean', describe: 'no attachment is valid' })
        .option('verbose', {
          alias: 'v',
          type: 'boolean',
          default: false,
          describe: 'show what changed in the kernel',
        })
        .requiresArg([
          'conflist',
          'cni-path',
          'container-id',
          'netns',
          'ifname',
          'args',
          'capability-args',
          'keep',
        ]),
    async (given) => {
      const world = { binding: loadBinding(), random: systemRandom, print, files: new AttachmentFiles() };
      process.exitCode = await runVerb(verb, given, world);
    },
  );
}

const labName = (cli: Argv) =>
  cli.option('name', {
    type: 'string',
    requiresArg: true,
    default: defaultName,
    describe: "the lab's name",
    coerce: checkLabName,
  });

function labCommands(cli: Argv): Argv {
  return cli
    .command(
      'up',
      'bring a cluster up: nodes, flanneld on each, pods',
      (options) =>
        labName(options)
          .option('nodes', { type: 'number', default: 3, describe: 'how many, 1 to 200' })
          .option('family', {
            choices: ['v4', 'v6', 'dual'] as const,
            default: 'dual' as const,
            describe: 'IP versions',
          })
          .option('backend', { type: 'string', default: 'vxlan', describe: "net-conf.json's Backend.Type" })
          .option('pods', { type: 'number', default: 1, describe: 'on each node' })
          .requiresArg(['nodes', 'family', 'backend', 'pods'])
          .example('$0 lab up --nodes 2 --family v4', 'two nodes, IPv4'),
      async ({ name, nodes, family, backend, pods }) => {
        within('nodes', nodes, 1, 200);
        within('pods', pods, 0, 50);
        const plan = { name, nodes, family: family, backend, pods };
        process.exitCode = await labUp(loadBinding(), plan, print);
      },
    )
    .command('status', 'show the nodes, and which pod reaches which', labName, async ({ name }) => {
      process.exitCode = await showStatus(findLab(name), print);
    })
    .command(
      'exec <where> [command..]',
      'run a program on a node (node-1) or in a pod (node-1/pod-1)',
      (options) =>
        labName(options)
          .positional('where', { type: 'string', demandOption: true })
          .positional('command', { type: 'string', array: true })
          .example('$0 lab exec node-1 -- ip route', 'routes of the first node'),
      async ({ name, where, command = [], '--': rest = [] }) => {
        const words = [...command, ...(rest as string[])];
        process.exitCode = await labExec(findLab(name), where, words);
      },
    )
    .command('down', 'end a lab; nothing of it is left', labName, async ({ name }) => {
      process.exitCode = await labDown(loadBinding(), findLab(name), print);
    })
    .demandCommand(1, `what about the lab? ${oneOf(labVerbs)}`);
}

function within(option: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new Refusal(`--${option} must be a whole number from ${min} to ${max}`);
}

function commandLine(): Argv {
  const cli = yargs(hideBin(process.argv))
    .scriptName('cni-tool')
    .usage(
      '$0 <command>\n\nRuns CNI verbs by hand, shows how this node stands, and makes a cluster out of namespaces.',
    )
    .parserConfiguration({ 'populate--': true })
    .version(version)
    .strict()
    .demandCommand(1, `what shall it do? ${oneOf(Object.keys(commands))}`)
    .wrap(100)
    .epilogue('Exit status: 0 all is well, 1 something is not, 2 what was asked for cannot be done.')
    .fail((message: string, error: Error | undefined) => {
      if (error !== undefined && error.name !== 'YError') throw error;
      throw cli.parsed === false ? new Refusal(message) : misuse(message, cli.parsed, commands);
    });
  return verbs
    .reduce(verbCommand, cli)
    .command(
      'node',
      'show how the flanneld of this node stands',
      (options) =>
        options
          .option('socket', {
            type: 'string',
            requiresArg: true,
            describe: "flanneld's socket",
            default: process.env['FLANNELD_SOCKET'] ?? '/run/flannel/flanneld.sock',
          })
          .option('json', { type: 'boolean', default: false, describe: 'for programs' }),
      async ({ socket, json }) => {
        process.exitCode = await showDaemonStatus(socket, json, print);
      },
    )
    .command('lab', 'a cluster in network namespaces, in about a second', labCommands);
}

async function main(): Promise<void> {
  // Whoever reads (head, less) may have seen enough: the work goes on without saying more.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  try {
    await commandLine().parseAsync();
  } catch (error) {
    process.exitCode = 2;
    if (!(error instanceof Refusal) && !isOfSystem(error)) throw error;
    console.error((error as Error).message);
  }
}

/** Node's, for what the system refuses: it names the call and the file. All others are defects. */
const isOfSystem = (error: unknown): boolean => error instanceof Error && 'syscall' in error;

void main();
