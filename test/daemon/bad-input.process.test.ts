import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Cluster } from './cluster.ts';

let cluster: Cluster;
afterEach(() => cluster.stop());

describe('bad input gets one sentence', () => {
  beforeEach(async () => {
    cluster = await Cluster.start('v4', 1);
  });

  const nothingWasDone = async () => {
    expect(await cluster.nodes[0]?.exec('ip', '-o', 'link', 'show')).not.toContain('flannel');
    expect(fs.existsSync(cluster.file('0.env'))).toBe(false);
    expect(fs.existsSync(cluster.file('0.sock'))).toBe(false);
  };

  test.each([
    ['--subnet-fil=x', 2, /there is no flag --subnet-fil; did you mean --subnet-file\?/],
    ['--healthz-port=x', 2, /--healthz-port: "x" is not a whole number/],
    ['--public-ip=fd00::1', 2, /not an IPv4 address/],
    ['--iface=none0', 1, /--iface=none0: there is no such interface.*There are:.*eth0/],
    ['--socket=/dev/null/x/y.sock', 1, /--socket=\/dev\/null\/x\/y\.sock: its directory cannot be made/],
    ['--subnet-file=/etc', 1, /--subnet-file \/etc is there and no file/],
    ['--node-name=a/b', 1, /node name "a\/b"/],
    ['--net-config-path=/none/such', 1, /\/none\/such: it cannot be read/],
    ['--etcd-endpoints=http://192.0.2.9:2379', 2, /--lease-dir and --etcd-endpoints name two registries/],
  ])('the flag %s', async (flag, status, sentence) => {
    const refused = cluster.refused([...cluster.args(0), flag]);
    expect(refused).toEqual({ status, says: expect.stringMatching(sentence) });
    expect(refused.says).not.toContain('    at ');
    await nothingWasDone();
  });

  test.each([
    ['{', /net-conf\.json: the file is not JSON/],
    ['{"Network":"10.244.0.0/16"}', /Backend is missing, which means "udp": .*use "vxlan"/],
    ['{"Network":"10.244.0.0/16","Backend":{"Type":"wormhole"}}', /"wormhole".*use one of: .*vxlan/],
    ['{"Network":"10.244.0.0/40","Backend":{"Type":"vxlan"}}', /Network "10\.244\.0\.0\/40" is no IPv4/],
    ['{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan","VNI":"x"}}', /VNI must be a/],
    ['{"EnableIPv4":false,"Backend":{"Type":"vxlan"}}', /both false/],
    ['{"Network":7,"SubnetLen":"x","Backend":{"Type":"vxlan"}}', /Network must be a string/],
  ])('the configuration %s', async (text, sentence) => {
    cluster.configure(text);
    expect(cluster.refused(cluster.args(0))).toEqual({ status: 1, says: expect.stringMatching(sentence) });
    await nothingWasDone();
  });

  test('all that is wrong at once', async () => {
    const args = ['--service-cidr=192.0.0.0/9,10.244.0.0/24', '--iface=none0', '--public-ip=127.0.0.1'];
    const { status, says } = cluster.refused([...cluster.args(0), ...args]);
    expect(status).toBe(1);
    expect(says.split('\n')).toEqual([
      expect.stringMatching(/^flanneld: no interface .*--iface=none0: there is no such interface/),
      expect.stringMatching(/^flanneld: --service-cidr has 2 IPv4 ranges/),
      expect.stringMatching(/^flanneld: --service-cidr 192\.0\.0\.0\/9 is too large/),
      expect.stringMatching(
        /^flanneld: the network 10\.244\.0\.0\/16 and --service-cidr 10\.244\.0\.0\/24 overlap/,
      ),
      expect.stringMatching(
        /^flanneld: --service-cidr 192\.0\.0\.0\/9 and the network 192\.0\.2\.0\/24 of eth0 overlap/,
      ),
      expect.stringMatching(/^flanneld: --public-ip 127\.0\.0\.1 is a loopback address/),
    ]);
    await nothingWasDone();
  });

  test('a flag against net-conf.json', async () => {
    const { status, says } = cluster.refused([...cluster.args(0), '--flannel-backend=host-gw']);
    expect(status).toBe(1);
    expect(says).toMatch(/--flannel-backend says host-gw, .*net-conf\.json: Backend\.Type says vxlan/);
    await nothingWasDone();
  });

  test('a host called localhost', async () => {
    const args = cluster.args(0).filter((arg) => !arg.startsWith('--node-name'));
    const before = ['unshare', '--uts', 'sh', '-c', 'hostname localhost; exec "$@"', 'sh'];
    const refused = cluster.refused(args, {}, before);
    expect(refused).toEqual({
      status: 1,
      says: expect.stringMatching(/this host is called "localhost".*--node-name or K3S_NODE_NAME/),
    });
    await nothingWasDone();
  });

  test('the variable of a flag', () => {
    const { status, says } = cluster.refused(cluster.args(0), { FLANNELD_HEALTHZ_PORT: '99999' });
    expect([status, says]).toEqual([2, expect.stringContaining('FLANNELD_HEALTHZ_PORT: "99999"')]);
  });

  test('a port in use', async () => {
    const script = 'const s=require("net").createServer().listen(8471,"0.0.0.0",()=>console.log("up"))';
    const listener = spawn('nsenter', [`--net=${cluster.nodes[0]?.path}`, process.execPath, '-e', script], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await new Promise((resolve) => {
      listener.stdout?.once('data', resolve);
    });
    try {
      const refused = cluster.refused([...cluster.args(0), '--healthz-port=8471']);
      expect(refused).toEqual({
        status: 1,
        says: expect.stringMatching(/port 8471: another program listens there/),
      });
      await nothingWasDone();
    } finally {
      listener.kill('SIGKILL');
    }
  });

  test('what is no socket in the place of the socket, which is left alone', async () => {
    const file = cluster.file('precious');
    fs.writeFileSync(file, 'precious');
    for (const socket of [file, cluster.directory]) {
      expect(cluster.refused([...cluster.args(0), `--socket=${socket}`])).toEqual({
        status: 1,
        says: expect.stringContaining(
          `${socket} is no socket: move it away, or name another place (--socket)`,
        ),
      });
    }
    expect(fs.readFileSync(file, 'utf8')).toBe('precious');
    await nothingWasDone();
  });

  test('a directory of run files that may only be read', async () => {
    const mounted = cluster.file('run');
    fs.mkdirSync(mounted);
    const before = ['unshare', '-m', 'sh', '-c', `mount -t tmpfs -o ro run ${mounted} && exec "$@"`, 'sh'];
    const socket = `--socket=${mounted}/flannel/flanneld.sock`;
    expect(cluster.refused([...cluster.args(0), socket], {}, before)).toEqual({
      status: 1,
      says: expect.stringMatching(/its directory cannot be made: EROFS: read-only file system, mkdir/),
    });
    await nothingWasDone();
  });

  test('no default route', async () => {
    await cluster.nodes[0]?.exec('ip', 'route', 'del', 'default');
    const refused = cluster.refused(cluster.args(0));
    expect(refused).toEqual({ status: 1, says: expect.stringMatching(/no IPv4 default route.*--iface/) });
    await nothingWasDone();
  });
});
