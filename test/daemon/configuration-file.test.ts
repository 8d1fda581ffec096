import { describe, expect, test } from 'vitest';
import { readConfigurationFile } from '../../src/daemon/options/configuration-file.ts';
import { UsageError } from '../../src/daemon/options/go-flags.ts';

/** Files by their paths; a directory is what paths begin with. */
function read(files: Readonly<Record<string, string>>) {
  return readConfigurationFile('/c.yaml', {
    readFileSync: (file) => {
      const text = files[file];
      if (text === undefined) throw new Error('ENOENT: no such file');
      return text;
    },
    readdirSync: (directory) => {
      const inside = Object.keys(files).filter((file) => file.startsWith(`${directory}/`));
      if (inside.length === 0) throw new Error('ENOENT: no such directory');
      return inside.map((file) => file.slice(directory.length + 1));
    },
  });
}

const k3s = `# K3s's
flannel-backend: "wireguard-native"
cluster-cidr: 10.42.0.0/16,2001:cafe:42::/56
service-cidr:
  - 10.43.0.0/16
  - 2001:cafe:43::/112
flannel-ipv6-masq: true
healthz-port: 8471
node-name:
token: K10abc::server:x
`;

describe('a configuration file', () => {
  test('is read as K3s reads it: words, lists, with the line of each key', async () => {
    expect(await read({ '/c.yaml': k3s })).toEqual([
      { key: 'flannel-backend', texts: ['wireguard-native'], where: '/c.yaml:2' },
      { key: 'cluster-cidr', texts: ['10.42.0.0/16,2001:cafe:42::/56'], where: '/c.yaml:3' },
      { key: 'service-cidr', texts: ['10.43.0.0/16', '2001:cafe:43::/112'], where: '/c.yaml:4' },
      { key: 'flannel-ipv6-masq', texts: ['true'], where: '/c.yaml:7' },
      { key: 'healthz-port', texts: ['8471'], where: '/c.yaml:8' },
      { key: 'node-name', texts: [], where: '/c.yaml:9' },
      { key: 'token', texts: ['K10abc::server:x'], where: '/c.yaml:10' },
    ]);
  });

  test('is followed by its drop-ins: a later value replaces, one with + is added', async () => {
    const settings = await read({
      '/c.yaml': 'node-ip: 10.0.0.1\nflannel-backend: vxlan\n',
      '/c.yaml.d/20.yaml': 'flannel-backend: host-gw\n',
      '/c.yaml.d/10.yml': 'node-ip+: [fd00::1]\nflannel-backend: none\n',
      '/c.yaml.d/30.txt': '{',
    });
    expect(settings).toEqual([
      { key: 'node-ip', texts: ['10.0.0.1', 'fd00::1'], where: '/c.yaml.d/10.yml:1' },
      { key: 'flannel-backend', texts: ['host-gw'], where: '/c.yaml.d/20.yaml:1' },
    ]);
  });

  test.each(['', '# nothing\n', '---\n'])('may be empty: %j', async (text) => {
    expect(await read({ '/c.yaml': text })).toEqual([]);
  });

  test('keeps what is neither word nor list for the option to refuse', async () => {
    expect(await read({ '/c.yaml': 'node-ip: {a: b}\n' })).toEqual([
      { key: 'node-ip', texts: ['{"a":"b"}'], where: '/c.yaml:1' },
    ]);
  });

  test.each([
    ['- a\n- b\n', '/c.yaml must be a mapping: lines such as "key: value"'],
    ['flannel-backend\n', '/c.yaml must be a mapping: lines such as "key: value"'],
    ['a: 1\nb: [1,\n', '/c.yaml:3 is not YAML (BAD_INDENT)'],
    ['a: 1\na: 2\n', '/c.yaml:2 is not YAML (DUPLICATE_KEY)'],
    ['a: *x\n', '/c.yaml repeats itself without end by its aliases'],
    ['? [a]\n: 1\n', '/c.yaml: a key that is no word'],
  ])('that says %j is refused', async (text, message) => {
    await expect(read({ '/c.yaml': text })).rejects.toThrow(new UsageError(message));
  });

  test('a bomb of aliases does not go off', async () => {
    const levels = Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}]`);
    const bomb = ['a0: &a0 [x, x]', ...levels].join('\n');
    await expect(read({ '/c.yaml': bomb })).rejects.toThrow(/aliases/);
  });

  test('that is not there is refused', async () => {
    await expect(read({})).rejects.toThrow(/\/c\.yaml cannot be read: ENOENT.*--config names another file/);
  });
});
