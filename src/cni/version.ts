import { CniError, cniCodes } from './error.ts';

/** Every version of the CNI specification, in their order. */
export const supportedVersions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;
export const currentVersion = '1.1.0';

/** Whether `version` is `other` or newer. Both must be supported ones. */
export const isAtLeast = (version: string, other: string): boolean => indexOf(version) >= indexOf(other);

export const isSupported = (version: string): boolean => indexOf(version) !== -1;

const indexOf = (version: string): number => supportedVersions.findIndex((known) => known === version);

/** Which configurations a verb may come with. */
const since: Readonly<Record<string, string>> = { CHECK: '0.4.0', GC: '1.1.0', STATUS: '1.1.0' };

/** Throws a {@link CniError} for a version that is none of ours, or too old for the verb. */
export function requireVersion(version: string, verb: string): void {
  if (!isSupported(version)) {
    const known = supportedVersions.map((each) => JSON.stringify(each)).join(' ');
    const details = `config is ${JSON.stringify(version)}, plugin supports [${known}]`;
    throw new CniError(cniCodes.incompatibleVersion, 'incompatible CNI versions', details);
  }
  const oldest = since[verb];
  if (oldest !== undefined && !isAtLeast(version, oldest)) {
    const details = `config is ${JSON.stringify(version)}, ${verb} needs ${oldest} or newer`;
    throw new CniError(cniCodes.incompatibleVersion, `config version does not allow ${verb}`, details);
  }
}

/** The answer to VERSION, compact with a final newline as the reference prints it. */
export const versionDocument = (): string =>
  `${JSON.stringify({ cniVersion: currentVersion, supportedVersions })}\n`;
