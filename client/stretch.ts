import { argon2id } from 'hash-wasm';
import { type Bytes, exactly } from '../primitives/bytes.ts';
import { maskTranscript } from '../protocol/transcripts.ts';

/** Argon2id (RFC 9106). An app may give its own, native or in a Worker: the default blocks its thread for as long as it works. */
export type Argon2id = (request: {
  readonly password: Bytes;
  readonly salt: Bytes;
  readonly memoryKiB: number;
  readonly iterations: number;
  readonly parallelism: number;
  readonly length: number;
}) => Promise<Uint8Array>;

// Fixed by the protocol version: what cannot be negotiated cannot be lowered.
const parameters = { iterations: 1, parallelism: 1, length: 32 } as const;

/** KiB of memory for each of `holders` shares: together they cost what three of 64 MiB do. */
export const memoryFor = (holders: number): number => Math.floor((3 * 64 * 1024) / Math.max(3, holders));

/** WebAssembly: a page needs 'wasm-unsafe-eval' in its Content-Security-Policy. */
export const wasmArgon2id: Argon2id = ({ password, salt, memoryKiB, iterations, parallelism, length }) =>
  argon2id({ password, salt, memorySize: memoryKiB, iterations, parallelism, hashLength: length, outputType: 'binary' });

/** Whose share of s it is, and among how many. */
export interface ShareName {
  readonly rid: Uint8Array;
  readonly g: Uint8Array;
  readonly index: number;
  readonly holders: number;
}

/**
 * Hides replica i's share of s behind its OPRF output y_i, which it stretches (as RFC 9807 §4 does): nothing of that can be computed
 * before the evaluation is at hand. 32 bytes.
 */
export async function maskKey(output: Bytes, { rid, g, index, holders }: ShareName, hash: Argon2id): Promise<Bytes> {
  const { digest: salt } = maskTranscript(rid, g, index);
  const stretched = await hash({ password: output, salt, memoryKiB: memoryFor(holders), ...parameters });
  return exactly(parameters.length, stretched, 'argon2id') as Bytes;
}
