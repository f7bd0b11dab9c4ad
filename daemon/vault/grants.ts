import { createHash, type KeyObject } from 'node:crypto';
import { compactVerify, decodeJwt, decodeProtectedHeader, errors } from 'jose';
import { LRUCache } from 'lru-cache';
import type { z } from 'zod';
import { constantTimeEqual, fromHex, toHex } from '../../primitives/bytes.ts';
import type { Clock } from '../../primitives/clock.ts';
import { VaultError } from '../../primitives/errors.ts';
import { GRANT_TYPE, type GrantOperation, grantClaims, MOST_GRANT_LENGTH } from '../../protocol/grant.ts';
import { recordTranscript } from '../../protocol/transcripts.ts';

export interface GrantKey {
  readonly key: KeyObject;
  /** Shows what was asked for while it was in use, and allows nothing any more. */
  readonly isRetired: boolean;
}

/** Verification keys of each tenant, by kid. */
export type TenantKeys = ReadonlyMap<string, ReadonlyMap<string, GrantKey>>;

/** What a grant must be for. */
export interface Granted {
  readonly fleet: string;
  readonly operation: GrantOperation;
  /** It names account and tenant, and so whose frontend must have signed. */
  readonly rid: Uint8Array;
  readonly g: Uint8Array;
  readonly authorises: Uint8Array;
}

interface Verified {
  readonly claims: z.infer<typeof grantClaims>;
  readonly rid: Uint8Array;
  readonly isRetired: boolean;
}

const LEEWAY_SECONDS = 60; // between the frontend's clock and ours

/**
 * Verifies that a tenant's frontend authorised exactly what is asked. Every replica does so for itself: otherwise one hostile
 * replica could spend or guess any account's codes without a frontend.
 */
export class GrantVerifier {
  readonly #keys: TenantKeys;
  readonly #clock: Clock;
  /** Signatures that were good; a grant comes back at every step of its operation. */
  readonly #verified = new LRUCache<string, Verified>({ max: 4096 });

  constructor(keys: TenantKeys, clock: Clock) {
    this.#keys = keys;
    this.#clock = clock;
  }

  knows(tenant: string): boolean {
    return this.#keys.has(tenant);
  }

  /** Throws GRANT_REFUSED, GRANT_EXPIRED. */
  async verify(jws: string, expected: Granted): Promise<void> {
    const { claims, isRetired } = await this.#expectFor(jws, expected);
    if (isRetired) throw refused('its kid is that of a retired key');
    const now = this.#clock.now() / 1000;
    if (claims.iat > now + LEEWAY_SECONDS) throw expired('is from the future');
    if (claims.exp <= now - LEEWAY_SECONDS) throw expired('has expired');
  }

  /** Whether the tenant authorised it once, be the grant expired or not. Throws GRANT_REFUSED. */
  async verifyShown(jws: string, expected: Granted): Promise<void> {
    await this.#expectFor(jws, expected);
  }

  async #expectFor(jws: string, { fleet, operation, rid, g, authorises }: Granted): Promise<Verified> {
    const verified = await this.#verify(jws, fleet);
    const { claims } = verified;
    const expected = { fleet, operation, g: toHex(g), authorises: toHex(authorises) };
    for (const [name, value] of Object.entries(expected))
      if (claims[name as keyof typeof expected] !== value) throw refused(`its ${name} is not that of the request`);
    if (!constantTimeEqual(verified.rid, rid)) throw refused('its account is not that of the request');
    return verified;
  }

  async #verify(jws: string, fleet: string): Promise<Verified> {
    if (jws.length === 0) throw refused('it is missing');
    if (jws.length > MOST_GRANT_LENGTH) throw refused(`it is longer than ${MOST_GRANT_LENGTH} characters`);
    const key = createHash('sha256').update(jws).digest('base64');
    const known = this.#verified.get(key);
    if (known) return known;
    const verified = await this.#verifySignature(jws, fleet);
    this.#verified.set(key, verified);
    return verified;
  }

  /** By a key of the tenant that the grant names. */
  async #verifySignature(jws: string, fleet: string): Promise<Verified> {
    try {
      const { tenant } = grantClaims.parse(decodeJwt(jws));
      const { kid, typ } = decodeProtectedHeader(jws);
      const { key, isRetired } = this.#keyFor(tenant, kid, typ);
      const { payload } = await compactVerify(jws, key, { algorithms: ['ES256', 'EdDSA', 'Ed25519'] });
      const claims = grantClaims.parse(JSON.parse(new TextDecoder().decode(payload)));
      return { claims, rid: recordTranscript(fleet, tenant, fromHex(claims.account, 'account')).digest, isRetired };
    } catch (cause) {
      if (cause instanceof VaultError) throw cause;
      throw new VaultError('GRANT_REFUSED', `The grant is refused: ${reason(cause)}.`, { cause });
    }
  }

  #keyFor(tenant: string, kid: string | undefined, typ: string | undefined): GrantKey {
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
