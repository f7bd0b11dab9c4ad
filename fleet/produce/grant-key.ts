import { generateKeyPairSync } from 'node:crypto';

/** The name of a development tenant's only grant key. */
export const GRANT_KID = 'development-1';

/** For ES256 (RFC 7518 §3.4), as PEM: PKCS #8 and SubjectPublicKeyInfo. */
export function newGrantKey(): { privateKey: string; publicKey: string } {
  return generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}
