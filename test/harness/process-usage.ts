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

/**
 * What each thread of a process does, as Linux tells it: name:state:system call(first argument)@where in the kernel, those alike counted together. Then the file locks
 * that it waits for, and who has them. For a message about a process that hangs.
 */
export function threadsOf(pid: number): string {
  const threads = readdirSync(`/proc/${pid}/task`).map((thread) => {
    const read = (file: string) => readFileSync(`/proc/${pid}/task/${thread}/${file}`, 'utf8').trim();
    const [, state] = /^State:\s+(\S)/m.exec(read('status')) ?? [];
    const [call, argument] = read('syscall').split(' ');
    return `${read('comm')}:${state}:${call}(${argument ?? ''})@${read('wchan')}`;
  });
  const counts = new Map<string, number>();
  for (const thread of threads) counts.set(thread, (counts.get(thread) ?? 0) + 1);
  const all = Array.from(counts, ([thread, count]) => (count === 1 ? thread : `${count} ${thread}`));
  return [...all, ...locksAwaitedBy(pid)].join(', ');
}

/** proc(5), /proc/locks: whoever waits comes after who has it, with an arrow. */
function locksAwaitedBy(pid: number): string[] {
  const locks = readFileSync('/proc/locks', 'utf8').trimEnd().split('\n');
  const ownerOf = (lock: string) => lock.replace('->', '').trim().split(/\s+/)[4];
  const awaited = locks.filter((lock) => lock.includes('->') && ownerOf(lock) === String(pid));
  return awaited.map((lock) => {
    const holder = locks.find((each) => !each.includes('->') && each.split(':')[0] === lock.split(':')[0]);
    return `waits for a file lock of process ${holder ? ownerOf(holder) : '?'}`;
  });
}

/** Resident memory in MiB. */
export function residentMiB(pid: number): number {
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) / 1024;
}
