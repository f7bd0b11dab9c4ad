import { SecretBytes } from '../primitives/secret-bytes.ts';
import { BACKUP_KEY_LENGTH } from '../protocol/body.ts';

/** What a backup is encrypted with. Its owner keeps it; the vault gets it by `enroll`. */
export const makeBackupKey = (): SecretBytes => randomSecret(BACKUP_KEY_LENGTH);

/** Uniform, and nowhere else than in what is returned. */
export function randomSecret(length: number): SecretBytes {
  const secret = new SecretBytes(new Uint8Array(length));
  crypto.getRandomValues(secret.expose());
  return secret;
}
