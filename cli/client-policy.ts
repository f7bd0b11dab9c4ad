import { readFileSync } from 'node:fs';
import type { TrustPolicy } from '../client/trust-policy.ts';
import type { ClientFile } from '../fleet/client-file.ts';
import { fromHex } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import { fileMemory } from './trust-memory.ts';

/** Whom the person who wrote the client file believes. Throws CONFIG_INVALID. */
export function policyOf({ fleet, trust, statement_hashes }: ClientFile): TrustPolicy {
  if (!trust) return { kind: 'pinned', statementHashes: statement_hashes.map((hash) => fromHex(hash, 'statement_hashes')) };
  return {
    kind: 'witnessed',
    operatorCa: readNamed(trust.operator_ca),
    witnessCa: readNamed(trust.witness_ca),
    logKey: readNamed(trust.log_key).trim(),
    cosigners: readNamed(trust.cosigners).split('\n').filter(Boolean),
    cosignaturesLeast: trust.cosignatures_least,
    epochLeast: trust.epoch_least,
    checkpointAgeMost: trust.checkpoint_age_most_ms,
    memory: fileMemory(trust.memory, fleet),
  };
}

export function readNamed(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `Cannot read ${file}, which the client file names: ${(cause as Error).message}`, { cause });
  }
}
