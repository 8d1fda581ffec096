/** What of CNI_ARGS is looked at; keys in just this letter case. */
export interface CniArgs {
  readonly ip?: string;
  readonly mac?: string;
}

const known = new Set(['IP', 'MAC', 'IgnoreUnknown']);

/** Reads `K=V;K=V`. Throws an Error with the reference's words. */
export function parseCniArgs(text: string): CniArgs {
  if (text === '') return {};
  const pairs = new Map<string, string>();
  for (const pair of text.split(';')) {
    const parts = pair.split('=');
    const [key = '', value = ''] = parts;
    if (parts.length !== 2) throw new Error(`ARGS: invalid pair ${JSON.stringify(pair)}`);
    pairs.set(key, value);
  }
  const unknown = [...pairs].filter(([key]) => !known.has(key)).map(([key, value]) => `${key}=${value}`);
  if (unknown.length > 0 && !ignoresUnknown(pairs.get('IgnoreUnknown'))) {
    throw new Error(`ARGS: unknown args [${unknown.map((pair) => JSON.stringify(pair)).join(' ')}]`);
  }
  const ip = pairs.get('IP');
  const mac = pairs.get('MAC');
  return { ...(ip !== undefined && ip !== '' && { ip }), ...(mac !== undefined && mac !== '' && { mac }) };
}

function ignoresUnknown(value: string | undefined): boolean {
  switch (value?.toLowerCase()) {
    case '1':
    case 'true':
      return true;
    case undefined:
    case '0':
    case 'false':
      return false;
    default:
      throw new Error(
        `ARGS: error parsing value of pair "IgnoreUnknown=${value}": boolean unmarshal error: invalid input ${value}`,
      );
  }
}
