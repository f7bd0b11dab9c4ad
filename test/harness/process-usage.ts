import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
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

/** What each thread of a process does, as Linux tells it: name:state:system call, those alike counted together. For a message about a process that hangs. */
export function threadsOf(pid: number): string {
  const threads = readdirSync(`/proc/${pid}/task`).map((thread) => {
    const read = (file: string) => readFileSync(`/proc/${pid}/task/${thread}/${file}`, 'utf8').trim();
    const [, state] = /^State:\s+(\S)/m.exec(read('status')) ?? [];
    return `${read('comm')}:${state}:${read('syscall').split(' ')[0]}`;
  });
  const counts = new Map<string, number>();
  for (const thread of threads) counts.set(thread, (counts.get(thread) ?? 0) + 1);
  return Array.from(counts, ([thread, count]) => (count === 1 ? thread : `${count} ${thread}`)).join(', ');
}

/** Resident memory in MiB. */
export function residentMiB(pid: number): number {
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) / 1024;
}
