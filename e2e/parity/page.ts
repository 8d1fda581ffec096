import { cases } from './cases.ts';
import { meant } from './differences.ts';

/** docs/parity.md, made of the list that the parity tests hold every difference against. */
export function parityPage(): string {
  const entries = meant.map(({ title, reason, cases: only, onlyOld }) => {
    const where = only === undefined ? 'every case' : only.join('; ');
    const who = onlyOld === true ? ' Only against the CNI plugins 1.1.1.' : '';
    return `### ${title}\n\n${reason}${who}\n\nSeen in: ${where}.\n`;
  });
  return `# Parity with the reference plugins

Made by \`e2e/parity/page.ts\`; do not edit. The tests in \`e2e/parity.e2e.test.ts\` fail when this page is behind.

Each case below is given to the chain that Go flannel would start (the reference plugins \`bridge\` and \`host-local\`,
with the configuration that Go flannel's plugin makes for them) and to our \`flannel\`. After ADD, CHECK, DEL and a second
DEL these are compared: every link with its settings, bridge port, address, route of any table, sysctl below net.ipv4 and
net.ipv6, netfilter rule, every file of the address store, and the answers. Random names and MACs are made equal first;
how an error is worded is not compared. The reference is version 1.9.1 where it is built, and Debian's 1.1.1.

## Every difference there is

${entries.length === 0 ? 'None.\n' : entries.join('\n')}
## The cases

${cases.map(({ name }) => `- ${name}`).join('\n')}
`;
}
