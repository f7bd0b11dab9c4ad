import { randomBytes } from 'node:crypto';
import { type Bytes, exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { ReplicaToken, TokenWith } from './keys/replica.ts';
import { keyTemplates, spoken } from './keys/templates.ts';
import { positiveControl } from './pkcs11/failure.ts';
import { CKM, type Mechanism, plain } from './pkcs11/mechanisms.ts';
import { type KeyHandle, saysWrong, type WrongSignature } from './pkcs11/session.ts';

const hmac = plain(CKM.SHA256_HMAC);
const ecdsa = plain(CKM.ECDSA);

/** PKCS#11 2.40 §11.1: SIGNATURE_INVALID, SIGNATURE_LEN_RANGE. A verdict; whatever else a profile has for one may be a fault, too. */
const VERDICTS = [0xc0, 0xc1];

/** TokenPort.mac */
export const mac = ({ session, keys }: TokenWith<'mac'>, digest: Uint8Array): Bytes =>
  session.sign(hmac, keys.mac, exactly(32, digest, 'the digest'), 32);

/** The first line of everything that reads what is stored. Throws MAC_REFUSED. */
export function requireMac(token: TokenWith<'mac'>, digest: Uint8Array, tag: Uint8Array): void {
  exactly(32, digest, 'the digest');
  exactly(32, tag, 'the MAC'); // SoftHSM accepts no other length; a token that takes a truncated tag must not get one
  if (!verifies(token, hmac, token.keys.mac, digest, tag, verifiesMac))
    throw new VaultError('MAC_REFUSED', 'The MAC is not one that this replica’s token made for these values.');
}

/** TokenPort.sign */
export const sign = ({ session, keys }: TokenWith<'receipt'>, digest: Uint8Array): Bytes =>
  session.sign(ecdsa, keys.receipt, exactly(32, digest, 'the digest'), 64);

/** ECDSA by whose public key a session object is, r‖s. Both are in 1 … q−1. */
export const verifiesSignature = (
  token: Token,
  publicKey: KeyHandle,
  digest: Uint8Array,
  signature: Uint8Array,
  control: Control,
): boolean => verifies(token, ecdsa, publicKey, digest, signature, control);

/** Shows that the token computes with its keys. */
export function requireMacs(token: ReplicaToken): void {
  positiveControl(() => mac(token, randomBytes(32)));
}

type Token = TokenWith<never>;

/** Has the token verify something genuine. */
export type Control = (token: Token) => void;

/** Where the answer is no clear verdict, the token has to verify what is genuine first, and is then asked again. */
function verifies(token: Token, by: Mechanism, key: KeyHandle, data: Uint8Array, signature: Uint8Array, control: Control): boolean {
  const { session, profile } = token;
  const answer = (wrong: WrongSignature) => session.verify(by, key, data, signature, wrong);
  try {
    return answer(VERDICTS);
  } catch (error) {
    if (!saysWrong(error, profile.wrongSignature)) throw error;
    positiveControl(() => control(token));
    return answer(profile.wrongSignature);
  }
}

function verifiesMac({ session, profile }: Token): void {
  const fresh = randomBytes(32);
  session.withTemporary((keep) => {
    const template = spoken('secretKey', profile, { ...keyTemplates.mac(profile), token: false });
    const key = keep(session.generateKey(plain(profile.hmac.generate), template));
    session.verify(hmac, key, fresh, session.sign(hmac, key, fresh, 32), []);
  });
}
