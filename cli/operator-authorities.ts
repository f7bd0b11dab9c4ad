import { type ParsedCertificate, parseCertificate } from '../fleet/verify/certificate.ts';
import type { OperatorAuthorities } from '../fleet/verify/in-force.ts';
import { readInput } from './arguments.ts';

/** From files in PEM. Throws CONFIG_INVALID, and FLEET_UNTRUSTED for one that is no certificate. */
export function operatorAuthorities(all: readonly { readonly fleet: string; readonly ca: string }[]): OperatorAuthorities {
  const authorities = new Map<string, ParsedCertificate[]>();
  for (const { fleet, ca } of all) {
    const known = authorities.get(fleet) ?? [];
    authorities.set(fleet, [...known, parseCertificate(readInput(ca).toString('utf8'))]);
  }
  return authorities;
}
