import type { Generation } from '../ledger/guarded.ts';
import type { StoredGeneration } from '../token/port.ts';

/** A generation of the guard as the token wants to be shown it. */
export function storedGeneration({ body, bodyHash, subRecord }: Omit<Generation, 'prepared' | 'madeWith'>): StoredGeneration {
  const { seed, enrolledAtMs, mac } = subRecord;
  return { rid: body.rid, g: body.g, epoch: Number(body.epoch), bodyHash, seed, enrolledAtMs, mac };
}
