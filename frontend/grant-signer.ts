import { createPrivateKey, type KeyObject } from 'node:crypto';
import { CompactSign } from 'jose';
import type { Millis } from '../primitives/brand.ts';
import { utf8 } from '../primitives/bytes.ts';
import { type Clock, systemClock } from '../primitives/clock.ts';
import { VaultError } from '../primitives/errors.ts';
import { claimsOf, GRANT_TYPE, type Grant } from '../protocol/grant.ts';

/** Long enough for a slow phone to finish, short enough that a stolen grant is soon worth nothing. */
const LIFE: Millis = 5 * 60 * 1000;

/** Signs what the frontend authorises: for an account that it authenticated, and for one request. */
export class GrantSigner {
  readonly #key: KeyObject;
  readonly #header: { readonly alg: 'ES256' | 'EdDSA'; readonly kid: string; readonly typ: string };
  readonly #clock: Clock;

  /** `pem`: a PKCS#8 private key, P-256 or Ed25519, whose public half every replica knows as `kid`. Throws CONFIG_INVALID. */
  constructor({ pem, kid, clock = systemClock }: { pem: string; kid: string; clock?: Clock }) {
    this.#key = parseKey(pem);
    this.#header = { alg: algorithmOf(this.#key), kid, typ: GRANT_TYPE };
    this.#clock = clock;
  }

  /** A compact JWS (RFC 7515). */
  sign(grant: Grant): Promise<string> {
    const now = this.#clock.now();
    const claims = { ...claimsOf(grant), iat: seconds(now), exp: seconds(now + LIFE) };
    return new CompactSign(utf8(JSON.stringify(claims))).setProtectedHeader(this.#header).sign(this.#key);
  }
}

const seconds = (time: Millis) => Math.floor(time / 1000);

function parseKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', 'The grant key is not a private key in PEM.', { cause });
  }
}

function algorithmOf(key: KeyObject): 'ES256' | 'EdDSA' {
  if (key.asymmetricKeyType === 'ed25519') return 'EdDSA';
  if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'ES256';
  throw new VaultError('CONFIG_INVALID', 'The grant key must be of P-256 or Ed25519.');
}
