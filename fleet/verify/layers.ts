import type { Millis } from '../../primitives/brand.ts';
import type { Bytes } from '../../primitives/bytes.ts';
import { expectIssued, isIssuedBy, type ParsedCertificate } from './certificate.ts';
import { refuse } from './checks.ts';
import { type ParsedLayer, parseLayer, type SignedContent, verifyLayer } from './cms.ts';
import { parseSmime } from './smime.ts';

/** The certificate authorities that a verifier knows from elsewhere. */
export interface Authorities {
  readonly operator: ParsedCertificate;
  readonly witness: ParsedCertificate;
}

/** The two layers of a bundle, taken apart: the witness's lies inside the operator's. Nothing is verified yet. */
export interface Layers {
  readonly operator: ParsedLayer;
  readonly witness: ParsedLayer;
}

/** Throws bundle-malformed, signature-missing, order-swapped. Who is who is told by the authorities. */
export function openLayers(smime: Uint8Array, authorities: Authorities): Layers {
  if (isBare(smime)) throw refuse('signature-missing', 'Both signatures are missing: this is a bare statement.');
  const outer = parseLayer(parseSmime(smime));
  if (isBare(outer.content)) throw refuse('signature-missing', missing(outer, authorities));
  const inner = parseLayer(parseSmime(outer.content));
  if (!isBare(inner.content)) throw refuse('bundle-malformed', 'What the witness signed is not a statement.');
  if (isIssuedBy(outer.certificate, authorities.witness) && isIssuedBy(inner.certificate, authorities.operator))
    throw refuse(
      'order-swapped',
      'The operator signed first and the witness over it: a witness that signs last has not seen the evidence.',
    );
  return { operator: outer, witness: inner };
}

/** Throws statement-tampered, certificate-untrusted, certificate-expired. */
export const verifyOperator = (layers: Layers, authorities: Authorities, now: Millis): SignedContent =>
  verified(layers.operator, authorities.operator, now, 'operator');

/** Throws statement-tampered, certificate-untrusted, certificate-expired. */
export const verifyWitness = (layers: Layers, authorities: Authorities, now: Millis): SignedContent =>
  verified(layers.witness, authorities.witness, now, 'witness');

/** JSON, and so a statement that nobody signed: S/MIME begins with a header. */
const isBare = (bytes: Uint8Array): boolean => bytes[0] === 0x7b;

/** The bytes that both signed: the fleet statement. */
export const statementBytes = ({ witness }: Layers): Bytes => witness.content;

function verified(layer: ParsedLayer, authority: ParsedCertificate, now: Millis, whose: string): SignedContent {
  expectIssued(layer.certificate, authority, now, whose);
  return verifyLayer(layer, whose);
}

function missing({ certificate }: ParsedLayer, { operator, witness }: Authorities): string {
  if (isIssuedBy(certificate, witness)) return 'The operator’s signature is missing: only the witness signed.';
  if (isIssuedBy(certificate, operator)) return 'The witness’s signature is missing: only the operator signed.';
  return 'One of the two signatures is missing.';
}
