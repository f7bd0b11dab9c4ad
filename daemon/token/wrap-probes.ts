import pkcs11js from 'pkcs11js';
import type { Template } from './attributes.ts';
import { newOprfKey } from './evaluate.ts';
import { CKM, plain } from './mechanisms.ts';
import type { Probe } from './probe.ts';
import { multiple } from './reference.ts';
import type { ReplicaToken, StorageToken, TokenWith } from './replica.ts';
import type { KeyHandle } from './session.ts';
import { unwrapExtras, wrapSecret } from './stored.ts';
import { type KekPurpose, kekMechanism, newOprfKey as newOprfKeyTemplate, opened, publicKey, stored } from './templates.ts';

// What a host may try with blobs, and with keys on their way into one.

// Each value the host would rather have than the one in the template.
const laxer = {
  token: true,
  private: false,
  sensitive: false,
  extractable: true,
  encrypt: true,
  decrypt: true,
  sign: true,
  wrap: true,
  unwrap: true,
  derive: true,
  modifiable: true,
} as const satisfies Template;

/** What is stored under a KEK, and what unwrapping it needs beside its template. */
interface Blob {
  readonly blob: Uint8Array;
  readonly more: Template;
}

type BlobOf<Token> = (token: Token, purpose: KekPurpose) => Blob;

type Change = (genuine: Template) => Template;

const lax = <Token extends StorageToken>(blobOf: BlobOf<Token>, purpose: KekPurpose, name: string, change: Change): Probe<Token> => ({
  name: `unwrap under kek-${purpose} as ${name}`,
  stoppedBy: 'unwrapTemplate',
  attempt: (token, keep) => {
    const { blob, more } = blobOf(token, purpose);
    const template = { ...change(stored(purpose, token.profile)), ...more };
    return keep(token.session.unwrap(plain(kekMechanism(purpose, token.profile)), token.keys[`kek-${purpose}`], blob, template));
  },
});

const relaxed =
  (attribute: keyof typeof laxer): Change =>
  (genuine) => ({ ...genuine, [attribute]: laxer[attribute] });

const omitted: Change = ({ class: kind, keyType }) => ({ class: kind, keyType, token: false }) as Template;

// An attribute that the kind of key has not, or has at the lax value by design, is not tried.
const tried: Record<KekPurpose, readonly (keyof typeof laxer)[]> = {
  oprf: ['token', 'private', 'sensitive', 'extractable', 'decrypt', 'sign', 'unwrap', 'modifiable'],
  auth: ['token', 'private', 'sensitive', 'extractable', 'encrypt', 'decrypt', 'sign', 'wrap', 'unwrap', 'derive', 'modifiable'],
  release: ['token', 'private', 'sensitive', 'encrypt', 'decrypt', 'sign', 'wrap', 'unwrap', 'derive', 'modifiable'],
};

export const unwrapProbesOf = <Token extends StorageToken>(blobOf: BlobOf<Token>): Probe<Token>[] =>
  (['oprf', 'auth', 'release'] as const).flatMap((purpose) => [
    ...tried[purpose].map((attribute) => ({
      ...lax(blobOf, purpose, `${attribute}=${laxer[attribute]}`, relaxed(attribute)),
      makesTokenObject: attribute === 'token',
    })),
    lax(blobOf, purpose, 'a key with the token’s own defaults', omitted),
  ]);

export const unwrapProbes: readonly Probe[] = unwrapProbesOf(genuineBlob);

export const trustProbes: readonly Probe[] = [
  {
    name: 'wrap a new OPRF key to a key of the host',
    stoppedBy: 'trusted',
    attempt: (token, keep) => {
      const { session, profile } = token;
      const pair = session.generateKeyPair(plain(CKM.EC_KEY_PAIR_GEN), publicKey(false, false), newOprfKeyTemplate(profile));
      keep(pair.publicKey);
      return session.wrap(plain(profile.wrap.ecPrivateKey), keep(hostWrappingKey(token)), keep(pair.privateKey), 256);
    },
  },
  {
    name: 'wrap an enrolled auth secret to a key of the host',
    stoppedBy: 'trusted',
    attempt: (token, keep) =>
      token.session.wrap(plain(token.profile.wrap.secret), keep(hostWrappingKey(token)), keep(wrappableSecret(token, 'auth')), 256),
  },
  {
    name: 'import a trusted key',
    stoppedBy: 'trusted',
    attempt: ({ session }, keep) => keep(session.create({ ...hostKey, trusted: true })),
  },
];

const hostKey: Template = {
  class: pkcs11js.CKO_SECRET_KEY,
  keyType: pkcs11js.CKK_AES,
  value: new Uint8Array(32),
  token: false,
  private: true,
  wrap: true,
};

/** A wrapping key whose value the host knows. */
export const hostWrappingKey = ({ session }: TokenWith<never>): KeyHandle => session.create(hostKey);

/** A secret as `openSealed` leaves it. */
export const wrappableSecret = ({ session, profile }: TokenWith<never>, purpose: 'auth' | 'release'): KeyHandle =>
  session.generateKey(plain(CKM.GENERIC_SECRET_KEY_GEN), { ...opened(purpose, profile), valueLength: 32 });

function genuineBlob(token: ReplicaToken, purpose: KekPurpose): Blob {
  if (purpose !== 'oprf')
    return { blob: token.session.withTemporary((keep) => wrapSecret(token, purpose, keep(wrappableSecret(token, purpose)))), more: {} };
  const { wrappedKey, publicKey } = newOprfKey(token, multiple(2n));
  return { blob: wrappedKey, more: unwrapExtras(token, publicKey) };
}
