/** Why the kernel makes no link of just that name, short and without spaces as it may be; undefined where it does. */
export function refusalOf(name: string): string | undefined {
  if (name.includes('%')) return 'the kernel takes "%" for the place of a number that it chooses';
  return ['all', 'default'].includes(name) ? 'the kernel has other settings under that name' : undefined;
}
