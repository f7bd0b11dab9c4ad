import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { GuardStore } from '../../daemon/ledger/guard-store.ts';
import { breakDisk, mendDisk } from './disk.ts';

// Run by full-disk.test.ts, with the disk shim before it: counts attempts while the disk fails for a moment, says which of them were
// acknowledged, and dies.

export const identity = { fleet: 'fault', replica: 1, incarnation: 1 };

const ATTEMPTS = 600;
const FAULTY = { from: 10, until: 15 };

async function run(guard: string, rid: Uint8Array, fault: 'full' | 'broken'): Promise<void> {
  const store = await GuardStore.open(guard, identity);
  const acknowledged: number[] = [];
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    if (attempt === FAULTY.from) breakDisk(guard, fault);
    if (attempt === FAULTY.until) mendDisk(guard);
    try {
      await store.read(rid); // as the guard does, which fails as well while the store cannot be opened
      await store.putCounted(rid, new Map([[attempt, { pointHash: randomBytes(32), grant: '', atMs: attempt }]]), false);
      acknowledged.push(attempt);
    } catch {
      // Refused: only what was acknowledged must be there.
    }
  }
  writeSync(1, JSON.stringify({ acknowledged, refused: ATTEMPTS - acknowledged.length }));
  process.kill(process.pid, 'SIGKILL');
}

const [guard, rid, fault] = process.argv.slice(2);
if (guard && rid && (fault === 'full' || fault === 'broken')) await run(guard, Buffer.from(rid, 'hex'), fault);
