/** The longest name that a link can have. */
export const maxNameBytes = 15;

/** Why no link can have that name. None of the empty one: it stands for none. */
export function flawOf(name: string): 'length' | 'dots' | 'characters' | undefined {
  if (Buffer.byteLength(name) > maxNameBytes) return 'length';
  if (name === '.' || name === '..') return 'dots';
  return /[/:\s]/u.test(name) ? 'characters' : undefined;
}

/** Why the kernel makes no link of just that name, short and without spaces as it may be; undefined where it does. */
export function whyNeverMade(name: string): string | undefined {
  if (name.includes('%')) return 'the kernel takes "%" for the place of a number that it chooses';
  return ['all', 'default'].includes(name) ? 'the kernel has other settings under that name' : undefined;
}
