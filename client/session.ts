import { p256 } from '@noble/curves/nist.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { type Bytes, concat } from '../primitives/bytes.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { type CompressedPoint, parsePoint } from '../protocol/point.ts';
import type { Replica } from '../protocol/statement.ts';
import { sessionTranscript } from '../protocol/transcripts.ts';

/** E: one for each request, thrown away with it. */
export interface EphemeralKey {
  readonly secretKey: SecretBytes;
  readonly publicKey: CompressedPoint;
}

export function newEphemeralKey(): EphemeralKey {
  const { secretKey, publicKey } = p256.keygen();
  return { secretKey: new SecretBytes(secretKey), publicKey: parsePoint(publicKey, 'client_key') };
}

/** Everything that a session key is bound to, beside the two keys. */
export type SessionBinding = Omit<Parameters<typeof sessionTranscript>[0], 'suite' | 'index' | 'sessionKey' | 'clientKey'>;

/** The AES-256 key between the client and one replica's token, for one purpose. */
export async function sessionKey(replica: Replica, ephemeral: EphemeralKey, binding: SessionBinding): Promise<Bytes> {
  const { digest } = sessionTranscript({
    ...binding,
    suite: replica.sessionSuite,
    index: replica.index,
    sessionKey: replica.sessionKey,
    clientKey: ephemeral.publicKey,
  });
  const x = p256.getSharedSecret(ephemeral.secretKey.expose(), replica.sessionKey).slice(1) as Bytes; // compressed: sign, then x
  return suites[replica.sessionSuite](x, digest);
}

/** What the token does with x, as PKCS#11 mechanisms that a host can call without seeing x. */
const suites: Record<Replica['sessionSuite'], (x: Bytes, digest: Bytes) => Promise<Bytes>> = {
  // CKM_ECDH1_DERIVE with CKD_NULL, then CKM_AES_CBC_ENCRYPT_DATA with IV 0. WebCrypto always appends a block of padding: cut it.
  A: async (x, digest) => {
    const key = await crypto.subtle.importKey('raw', x, 'AES-CBC', false, ['encrypt']);
    const encrypted = await crypto.subtle.encrypt({ name: 'AES-CBC', iv: new Uint8Array(16) }, key, digest);
    return new Uint8Array(encrypted, 0, 32).slice();
  },
  // CKD_SHA256_KDF: ANSI X9.63 with one block, the digest as SharedInfo (SEC 1 §3.6.1).
  B: async (x, digest) => sha256(concat(x, Uint8Array.of(0, 0, 0, 1), digest)) as Bytes,
};
