import { randomBytes } from 'node:crypto';
import type { Millis } from '../primitives/brand.ts';
import { type Bytes, concat, constantTimeEqual, uint64 } from '../primitives/bytes.ts';
import type { Clock } from '../primitives/clock.ts';
import { VaultError } from '../primitives/errors.ts';

/** Where a boot record is kept: in the token, and in the guard. */
export interface BootRecordPlace {
  readBootRecord(): Promise<Bytes>;
  writeBootRecord(record: Uint8Array): Promise<void>;
}

/** Longer than the interval at which a serving replica looks. */
const SETTLING: Millis = 1200;

interface BootRecord {
  /** The guard's, from the fleet statement. */
  readonly incarnation: bigint;
  /** How often a replica took over with this token. */
  readonly boots: bigint;
}

/**
 * One token, one guard, one daemon. Token and guard both remember who served last; at every start they must agree, and both get a new
 * record. So a guard that was lost, copied earlier or put back from a backup is refused, and of two daemons that share a token the
 * one that started first notices and stops.
 */
export class Tenure {
  readonly #token: BootRecordPlace;
  readonly #record: Bytes;

  private constructor(token: BootRecordPlace, record: Bytes) {
    this.#token = token;
    this.#record = record;
  }

  /** Throws GUARD_MISMATCH. */
  static async begin(token: BootRecordPlace, guard: BootRecordPlace, incarnation: number, clock: Clock): Promise<Tenure> {
    const [inToken, inGuard] = [await token.readBootRecord(), await guard.readBootRecord()];
    expectSuccession(inToken, inGuard, BigInt(incarnation));
    const record = concat(uint64(incarnation), uint64(decode(inToken).boots + 1n), randomBytes(16));
    await guard.writeBootRecord(record); // first: a crash in between leaves the guard one ahead, which is accepted
    await token.writeBootRecord(record);
    const tenure = new Tenure(token, record);
    // Whoever shares the token has noticed by now, or has written after us.
    await clock.sleep(SETTLING);
    await tenure.expectOurs();
    return tenure;
  }

  /** Throws GUARD_MISMATCH once another daemon took over with this token. */
  async expectOurs(): Promise<void> {
    if (!constantTimeEqual(await this.#token.readBootRecord(), this.#record))
      throw mismatch('another daemon began to serve with this token: stop one of them, and look which guard is the right one');
  }
}

function expectSuccession(inToken: Bytes, inGuard: Bytes, incarnation: bigint): void {
  if (constantTimeEqual(inToken, inGuard)) return;
  const [token, guard] = [decode(inToken), decode(inGuard)];
  const isFresh = guard.boots === 0n && token.incarnation < incarnation; // the statement says that a new guard begins here
  const wasInterrupted = guard.incarnation === incarnation && guard.boots === token.boots + 1n; // between the two writes below
  if (isFresh || wasInterrupted) return;
  throw mismatch(
    `the token served ${token.boots} times in incarnation ${token.incarnation}, the guard ${guard.boots} times in ${guard.incarnation}: ` +
      'the guard is a copy, was put back from a backup, or is new without a statement that says so',
  );
}

function decode(record: Bytes): BootRecord {
  const view = new DataView(record.buffer, record.byteOffset, record.length);
  return { incarnation: view.getBigUint64(0), boots: view.getBigUint64(8) };
}

const mismatch = (why: string) => new VaultError('GUARD_MISMATCH', `This replica must not serve: ${why}.`);
