import { readFileSync } from 'node:fs';
import type { Binding } from '../../native/binding.ts';
import type { Family } from '../net/address.ts';
import { NetlinkError } from '../netlink/error.ts';
import type { LegacyTable } from './legacy-table.ts';
import { families, protocolOf } from './node-rules.ts';

/** IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES; IP6T_* are the same numbers. */
const getInfo = 64;
const getEntries = 65;
/** SOL_IP, SOL_IPV6. */
const levels: Readonly<Record<Family, number>> = { 4: 0, 6: 41 };
const infoSize = 84;
/** The offset of the table's size in both structs, and the size of the second's header. */
const sizeAt = { info: 80, entries: 32, header: 40 } as const;
const EAGAIN = 11;
const attempts = 10;

/** The legacy iptables' tables, read as the programs do, but with CAP_NET_ADMIN alone: any IP socket can ask. */
export interface LegacyKernel {
  /** The tables that are in use in this namespace. To read another would put it in use. */
  tables(family: Family): readonly string[];
  /** Throws a NetlinkError. */
  read(family: Family, table: string): LegacyTable;
  close(): void;
}

/** `names` reads /proc/net/ip_tables_names or ip6_tables_names, of the namespace of `netnsFd` (-1: this process's). */
export function openLegacyKernel(
  binding: Binding,
  netnsFd = -1,
  names: (file: string) => string = readNames,
): LegacyKernel {
  const sockets = new Map<Family, number>();
  const socketOf = (family: Family): number => {
    const open = sockets.get(family) ?? check('socket', binding.openDatagram(protocolOf[family], netnsFd));
    sockets.set(family, open);
    return open;
  };
  return {
    tables: (family) => names(`/proc/net/ip${family === 4 ? '' : '6'}_tables_names`).split('\n'),
    read: (family, table) => readTable(binding, socketOf(family), family, table),
    close() {
      for (const family of families) {
        const open = sockets.get(family);
        if (open !== undefined) binding.close(open);
        sockets.delete(family);
      }
    },
  };
}

/** A kernel without legacy tables has no such file; one that may not be read belongs to somebody who may not change rules. */
function readNames(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

function readTable(binding: Binding, fd: number, family: Family, table: string): LegacyTable {
  const level = levels[family];
  // Between the two questions the table may have been written anew, with another size.
  for (let attempt = 1; ; attempt++) {
    const info = Buffer.alloc(infoSize);
    info.write(table, 'latin1');
    check('getsockopt(IPT_SO_GET_INFO)', binding.getOption(fd, level, getInfo, info));
    const size = info.readUInt32LE(sizeAt.info);
    const answer = Buffer.alloc(sizeAt.header + size);
    answer.write(table, 'latin1');
    answer.writeUInt32LE(size, sizeAt.entries);
    const length = binding.getOption(fd, level, getEntries, answer);
    if (length === -EAGAIN && attempt < attempts) continue;
    check('getsockopt(IPT_SO_GET_ENTRIES)', length);
    return { family, info, entries: answer.subarray(sizeAt.header) };
  }
}

function check(call: string, result: number): number {
  if (result < 0) throw new NetlinkError(call, -result);
  return result;
}
