import { argon2id } from 'hash-wasm';
import { type Bytes, exactly, utf8 } from '../primitives/bytes.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { codeTranscript, stretchTranscript } from '../protocol/transcripts.ts';
import { normaliseCode } from './code.ts';

/** Argon2id (RFC 9106). An app may give its own, native or in a Worker: the default blocks its thread for some 0.2 to 0.4 seconds. */
export type Argon2id = (request: {
  readonly password: Bytes;
  readonly salt: Bytes;
  readonly memoryKiB: number;
  readonly iterations: number;
  readonly parallelism: number;
  readonly length: number;
}) => Promise<Uint8Array>;

// Fixed by the protocol version: what cannot be negotiated cannot be lowered.
const parameters = { memoryKiB: 64 * 1024, iterations: 3, parallelism: 1, length: 32 } as const;

/** WebAssembly: a page needs 'wasm-unsafe-eval' in its Content-Security-Policy. */
export const wasmArgon2id: Argon2id = ({ password, salt, memoryKiB, iterations, parallelism, length }) =>
  argon2id({ password, salt, memorySize: memoryKiB, iterations, parallelism, hashLength: length, outputType: 'binary' });

/** The OPRF input: 32 bytes. It makes each guess of somebody who can use t tokens dearer by a constant factor, no more. */
export async function stretch(code: string, fleet: string, rid: Uint8Array, hash: Argon2id): Promise<SecretBytes> {
  const password = utf8(normaliseCode(code));
  const { digest: salt } = stretchTranscript(fleet, rid);
  const stretched = exactly(parameters.length, await hash({ password, salt, ...parameters }), 'argon2id');
  const { preimage, digest } = codeTranscript(fleet, rid, stretched);
  const input = new SecretBytes(digest);
  for (const secret of [password, stretched, preimage, digest]) secret.fill(0);
  return input;
}
