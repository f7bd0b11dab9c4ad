import { createHash, type KeyObject } from 'node:crypto';
import { compactVerify, errors } from 'jose';
import { LRUCache } from 'lru-cache';
import type { z } from 'zod';
import type { Clock } from '../../primitives/clock.ts';
import { VaultError } from '../../primitives/errors.ts';
import { claimsOf, GRANT_TYPE, type Grant, grantClaims } from '../../protocol/grant.ts';

/** Verification keys of each tenant, by kid. */
export type TenantKeys = ReadonlyMap<string, ReadonlyMap<string, KeyObject>>;

type Claims = z.infer<typeof grantClaims>;

const MOST_LENGTH = 2048;
const LEEWAY_SECONDS = 60; // between the frontend's clock and ours

/**
 * Verifies that a tenant's frontend authorised exactly what is asked. Every replica does so for itself: otherwise one hostile
 * replica could spend or guess any account's codes without a frontend.
 */
export class GrantVerifier {
  readonly #keys: TenantKeys;
  readonly #clock: Clock;
  /** Signatures that were good; a grant comes back at every step of its operation. */
  readonly #verified = new LRUCache<string, Claims>({ max: 4096 });

  constructor(keys: TenantKeys, clock: Clock) {
    this.#keys = keys;
    this.#clock = clock;
  }

  knows(tenant: string): boolean {
    return this.#keys.has(tenant);
  }

  /** Throws GRANT_REFUSED, GRANT_EXPIRED. */
  async verify(jws: string, expected: Grant): Promise<void> {
    const claims = await this.#claims(jws, expected.tenant);
    for (const [name, value] of Object.entries(claimsOf(expected)))
      if (claims[name as keyof Claims] !== value) throw refused(`its ${name} is not that of the request`);
    const now = this.#clock.now() / 1000;
    if (claims.iat > now + LEEWAY_SECONDS) throw expired('is from the future');
    if (claims.exp <= now - LEEWAY_SECONDS) throw expired('has expired');
  }

  async #claims(jws: string, tenant: string): Promise<Claims> {
    if (jws.length === 0) throw refused('it is missing');
    if (jws.length > MOST_LENGTH) throw refused(`it is longer than ${MOST_LENGTH} characters`);
    const key = createHash('sha256').update(`${tenant}\0${jws}`).digest('base64');
    const known = this.#verified.get(key);
    if (known) return known;
    const claims = await this.#verifySignature(jws, tenant);
    this.#verified.set(key, claims);
    return claims;
  }

  async #verifySignature(jws: string, tenant: string): Promise<Claims> {
    try {
      const { payload } = await compactVerify(jws, (header) => this.#keyFor(tenant, header.kid, header.typ), {
        algorithms: ['ES256', 'EdDSA', 'Ed25519'],
      });
      return grantClaims.parse(JSON.parse(new TextDecoder().decode(payload)));
    } catch (cause) {
      if (cause instanceof VaultError) throw cause;
      throw new VaultError('GRANT_REFUSED', `The grant is refused: ${reason(cause)}.`, { cause });
    }
  }

  #keyFor(tenant: string, kid: string | undefined, typ: string | undefined): KeyObject {
    if (typ !== GRANT_TYPE) throw refused(`its typ must be ${GRANT_TYPE}`);
    const key = kid === undefined ? undefined : this.#keys.get(tenant)?.get(kid);
    if (!key) throw refused('its kid is not a key of this tenant');
    return key;
  }
}

function reason(cause: unknown): string {
  if (cause instanceof errors.JWSSignatureVerificationFailed) return 'its signature is wrong';
  return cause instanceof errors.JOSEError ? 'it is not a compact JWS by ES256 or EdDSA' : 'its claims are not those of a grant';
}

const refused = (why: string) => new VaultError('GRANT_REFUSED', `The grant is refused: ${why}.`);
const expired = (what: string) =>
  new VaultError('GRANT_EXPIRED', `The grant ${what}; have the frontend sign a fresh one and check its clock.`);
