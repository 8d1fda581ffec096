import { readFileSync } from 'node:fs';
import { EtcdGateway, type EtcdGatewayOptions } from '../../lease/etcd/gateway.ts';
import { EtcdStore } from '../../lease/etcd/store.ts';
import { systemClock } from '../../world/clock.ts';
import { UsageError } from '../options/go-flags.ts';
import { type Options, withoutPassword } from '../options/options.ts';

type EtcdOptions = Pick<
  Options,
  'etcd-endpoints' | 'etcd-cafile' | 'etcd-certfile' | 'etcd-keyfile' | 'etcd-username' | 'etcd-password'
>;

export const openEtcd = (options: EtcdOptions): EtcdStore =>
  new EtcdStore(
    new EtcdGateway({
      ...etcdAccess(options),
      readFile: (file) => readFileSync(file, 'utf8'),
      clock: systemClock,
    }),
  );

/** Where etcd is, and as whom this node comes. Throws a {@link UsageError} with every finding. */
export function etcdAccess(options: EtcdOptions): Pick<EtcdGatewayOptions, 'endpoints' | 'tls' | 'user'> {
  const { 'etcd-cafile': ca, 'etcd-certfile': cert, 'etcd-keyfile': key } = options;
  const { 'etcd-username': name, 'etcd-password': password } = options;
  const hasTls = [ca, cert, key].some((file) => file !== '');
  const findings: string[] = [];
  const endpoints = endpointsIn(options['etcd-endpoints'], hasTls, findings);
  if ((cert === '') !== (key === '')) {
    findings.push('--etcd-certfile and --etcd-keyfile belong together: give both, or none of them');
  }
  if (password !== '' && name === '') findings.push('--etcd-password is given without --etcd-username');
  if (hasTls && endpoints.length > 0 && endpoints.every((url) => url.startsWith('http:'))) {
    findings.push(
      `--etcd-endpoints ${endpoints.join(',')} have no use for certificates: write https:// in place of http://`,
    );
  }
  if (findings.length > 0) throw new UsageError(findings.join('\n'));
  return {
    endpoints,
    ...(hasTls && {
      tls: {
        ...(ca !== '' && { ca: { file: ca } }),
        ...(cert !== '' && { cert: { file: cert }, key: { file: key } }),
      },
    }),
    ...(name !== '' && { user: { name, password } }),
  };
}

/** As Go's client reads them: one without a scheme speaks TLS when there are certificates. */
function endpointsIn(list: string, hasTls: boolean, findings: string[]): string[] {
  // A comma before an @ may stand in a password, no part of which is shown.
  const written = list.split(/,(?!.*@)/s).map((each) => each.trim());
  const endpoints = written.flatMap((text) => {
    if (text === '') return [];
    const url = URL.parse(text.includes('://') ? text : `${hasTls ? 'https' : 'http'}://${text}`);
    // No user, path, query or fragment, for none of them would be used.
    const isAddress = url !== null && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`;
    if (isAddress) return [url.origin];
    findings.push(
      `--etcd-endpoints: ${JSON.stringify(withoutPassword(text))} is no address such as http://10.0.0.1:2379`,
    );
    return [];
  });
  if (endpoints.length === 0 && findings.length === 0) findings.push('--etcd-endpoints names no address');
  return [...new Set(endpoints)];
}
