import { readFileSync } from 'node:fs';

/** The CPUs that a process may use. */
export function cpusGiven(pid: number | 'self'): number[] {
  return cpusIn(/^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '');
}

/** Of 0-2,5 these are 0, 1, 2 and 5. */
export function cpusIn(list: string): number[] {
  return list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number) as [number, number?];
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

/** The CPU that a process is on, or on which it went to sleep. */
export const cpuOf = (pid: number): number => Number(statOf(pid)[36]);

export const isAsleep = (pid: number): boolean => statOf(pid)[0] === 'S';

/** The words of proc(5)'s `stat`, from the third, which is the state; the second may hold blanks. */
function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}
