import { readdirSync, readFileSync } from 'node:fs';

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
