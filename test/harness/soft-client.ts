import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { randomBytes } from '@noble/hashes/utils.js';
import type { EnrolInput } from '../../client/enrol.ts';
import { findSecret, unmaskShares } from '../../client/open-body.ts';
import type { Blinded } from '../../client/oprf.ts';
import type { Answer } from '../../client/receipts.ts';
import type { Argon2id } from '../../client/stretch.ts';
import { VaultClient } from '../../client/vault-client.ts';
import type { Clock } from '../../primitives/clock.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import type { Body } from '../../protocol/body.ts';
import { SoftFleet } from './soft-fleet.ts';

/** Sleeps take no time, but are counted. */
export class InstantClock implements Clock {
  slept = 0;
  now = () => Date.UTC(2026, 5, 1) + this.slept;
  monotonic = () => this.slept;
  async sleep(duration: number): Promise<void> {
    this.slept += duration;
  }
}

/** Stands in for Argon2id where its work is not what is tested. */
export const quickHash: Argon2id = async ({ password, salt }) => hmac(sha256, salt, password);

export function clientOf(fleet: SoftFleet, clock: Clock = new InstantClock()): VaultClient {
  const { name, policy } = fleet;
  return new VaultClient({ transport: fleet, policy, fleet: name, tenant: SoftFleet.tenant, clock, argon2id: quickHash });
}

/** s, as a client that stretches quickly finds it. */
export const secretOf = async (body: Body, answers: readonly Pick<Answer, 'index' | 'evaluated'>[], blinded: Blinded) =>
  findSecret(body, await unmaskShares(body, answers, { blinded, argon2id: quickHash, keys: new Map() }));

export const RECORD = 'account-1';
export const CODE = '493817';
export const WRONG = '493818';

export function enrolInput(changes: Partial<EnrolInput> = {}): EnrolInput {
  return { recordId: RECORD, code: CODE, backupKey: new SecretBytes(randomBytes(32)), policy: { limit: 10, coolDownMs: 0 }, ...changes };
}
