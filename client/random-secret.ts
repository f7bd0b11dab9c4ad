import { SecretBytes } from '../primitives/secret-bytes.ts';

/** Uniform, and nowhere else than in what is returned. */
export function randomSecret(length: number): SecretBytes {
  const secret = new SecretBytes(new Uint8Array(length));
  crypto.getRandomValues(secret.expose());
  return secret;
}
