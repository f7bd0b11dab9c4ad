import { type Bytes, concat } from '../primitives/bytes.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import type { Body } from '../proto/gen/backupvault/v1/record_pb.ts';
import { payloadDataTranscript } from '../protocol/transcripts.ts';

const NONCE_LENGTH = 12;

/** AES-256-GCM of the backup key, with the rest of the body as associated data: nonce, ciphertext, tag. */
export async function encryptPayload(key: Bytes, backupKey: SecretBytes, body: Body): Promise<Bytes> {
  const iv = crypto.getRandomValues(new Uint8Array(NONCE_LENGTH));
  const encrypted = await crypto.subtle.encrypt(gcm(iv, body), await importKey(key, 'encrypt'), backupKey.expose());
  return concat(iv, new Uint8Array(encrypted));
}

/** Undefined where the key, or a field of the body, is not what it was encrypted with. */
export async function decryptPayload(key: Bytes, body: Body): Promise<SecretBytes | undefined> {
  const [iv, encrypted] = [body.payload.slice(0, NONCE_LENGTH), body.payload.slice(NONCE_LENGTH)];
  try {
    return new SecretBytes(
      new Uint8Array(await crypto.subtle.decrypt(gcm(iv as Bytes, body), await importKey(key, 'decrypt'), encrypted as Bytes)),
    );
  } catch {
    return undefined;
  }
}

const gcm = (iv: Bytes, body: Body) => ({ name: 'AES-GCM', iv, additionalData: payloadDataTranscript(body).digest });
const importKey = (key: Bytes, use: 'encrypt' | 'decrypt') => crypto.subtle.importKey('raw', key, 'AES-GCM', false, [use]);
