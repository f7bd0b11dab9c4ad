import { generateKeyPairSync, sign } from 'node:crypto';
import { Authority, type Validity } from '../../fleet/produce/authority.ts';
import { bundleSignerSubject } from '../../fleet/produce/certificates.ts';
import type { BundleSigner } from '../../fleet/produce/cms.ts';
import type { Signer } from '../../fleet/signing-token/signer.ts';

/** A P-256 key in this process that signs as one in a token does. */
export function softSigner(): Signer & { readonly pem: string; readonly privatePem: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x, y } = publicKey.export({ format: 'jwk' });
  return {
    kind: 'p256',
    publicKey: new Uint8Array(Buffer.concat([Buffer.of(4), Buffer.from(x as string, 'base64url'), Buffer.from(y as string, 'base64url')])),
    sign: (message) => new Uint8Array(sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' })),
    pem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

export interface Party {
  readonly authority: Authority;
  /** PEM */
  readonly ca: string;
  readonly signer: BundleSigner;
}

/** An authority, and a certified key that signs bundles. */
export async function makeParty(name: string, validity: Validity, certificateValidity: Validity = validity): Promise<Party> {
  const authority = await Authority.create(`${name} authority, test`, validity);
  const key = softSigner();
  const certificate = await authority.certify(bundleSignerSubject(`${name}, test`), key.publicKey, certificateValidity);
  return { authority, ca: authority.certificate, signer: { certificate, key } };
}
