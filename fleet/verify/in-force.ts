import { z } from 'zod';
import type { Millis } from '../../primitives/brand.ts';
import { statementSchema } from '../../protocol/statement.ts';
import { expectIssued, isIssuedBy, type ParsedCertificate, parseCertificate } from './certificate.ts';
import { refuse } from './checks.ts';
import { type ParsedLayer, parseLayer, verifyLayer } from './cms.ts';
import { parseCanonical } from './files.ts';
import { parseSmime } from './smime.ts';

// What an operator signs, and a log holds, to put an epoch of a fleet in force: S/MIME of the form of a bundle's layers around this.

export const IN_FORCE_TYPE = 'backup-key-vault/in-force/v1';

const { fleet, epoch, evidence } = statementSchema.shape;

export const inForceSchema = z.strictObject({
  type: z.literal(IN_FORCE_TYPE),
  fleet,
  epoch,
  /** SHA-256 of the statement, which the log holds. */
  statement: evidence.unwrap(),
  /** From then on statements of older epochs are refused. */
  refuse_older_from: z.iso.datetime({ precision: 0 }),
});

export interface InForce {
  readonly fleet: string;
  readonly epoch: number;
  /** SHA-256, in hexadecimal. */
  readonly statement: string;
  readonly refuseOlderFrom: Millis;
}

/** Its signature is not looked at yet. */
export interface ParsedInForce extends InForce {
  readonly layer: ParsedLayer;
}

/** The authorities of the operator of each fleet in a log. More than one where it was replaced. */
export type OperatorAuthorities = ReadonlyMap<string, readonly ParsedCertificate[]>;

/** From certificates, PEM. Throws FLEET_UNTRUSTED for one that is none. */
export function operatorAuthorities(all: readonly { readonly fleet: string; readonly pem: string }[]): OperatorAuthorities {
  const authorities = new Map<string, ParsedCertificate[]>();
  for (const { fleet: name, pem } of all) authorities.set(name, [...(authorities.get(name) ?? []), parseCertificate(pem)]);
  return authorities;
}

/** A log's entry is a statement, which is JSON, or this. */
export const isInForce = (entry: Uint8Array): boolean => entry[0] !== 0x7b;

/** Throws FLEET_UNTRUSTED: bundle-malformed, in-force-refused. */
export function parseInForce(entry: Uint8Array): ParsedInForce {
  const layer = parseLayer(parseSmime(entry));
  const document = parseCanonical(layer.content, inForceSchema, 'in-force-refused', 'What the operator puts in force');
  const { statement, refuse_older_from } = document;
  return { fleet: document.fleet, epoch: document.epoch, statement, refuseOlderFrom: Date.parse(refuse_older_from), layer };
}

/**
 * The operator of the fleet signed it. A log is read for longer than a certificate is valid, so the time that counts is the one that was
 * signed. Throws FLEET_UNTRUSTED: certificate-untrusted, certificate-expired, statement-tampered.
 */
export function verifyInForce({ fleet: name, layer }: ParsedInForce, operators: OperatorAuthorities): void {
  const known = operators.get(name);
  if (!known) throw refuse('certificate-untrusted', `Nothing is known of the authority of the operator of ${name}.`);
  const authority = known.find((one) => isIssuedBy(layer.certificate, one)) ?? (known[0] as ParsedCertificate);
  expectIssued(layer.certificate, authority, layer.signedAt, 'operator');
  verifyLayer(layer, 'operator');
}
