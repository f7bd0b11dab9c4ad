import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Millis } from '../../primitives/brand.ts';

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** CPU time of this process, all threads. */
export function ownCpu(): Millis {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** CPU time of these processes together, in steps of a clock tick (10 ms): for spans of seconds. */
export const cpuOf = (pids: readonly number[]): Millis => pids.reduce((sum, pid) => sum + cpuOfOne(pid), 0);

function cpuOfOne(pid: number): Millis {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // proc(5): utime and stime are fields 14 and 15. The second may contain blanks and ends with the last parenthesis.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
}

/** Resident memory in MiB. */
export function residentMiB(pid: number): number {
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) / 1024;
}
