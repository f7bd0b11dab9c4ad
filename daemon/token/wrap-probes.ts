import pkcs11js from 'pkcs11js';
import type { AttributeName, Template } from './attributes.ts';
import { newOprfKey } from './evaluate.ts';
import { CKM, plain } from './mechanisms.ts';
import type { Probe } from './probe.ts';
import { multiple } from './reference.ts';
import type { ReplicaToken } from './replica.ts';
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

const lax = (purpose: KekPurpose, name: string, change: (genuine: Template) => Template): Probe => ({
  name: `unwrap under kek-${purpose} as ${name}`,
  stoppedBy: 'unwrapTemplate',
  attempt: (token, keep) => {
    const { blob, more } = genuineBlob(token, purpose);
    const template = { ...change(stored(purpose, token.profile)), ...more };
    return keep(token.session.unwrap(plain(kekMechanism(purpose, token.profile)), token.keys[`kek-${purpose}`], blob, template));
  },
});

const relaxed = (purpose: KekPurpose, attribute: keyof typeof laxer): Probe => ({
  ...lax(purpose, `${attribute}=${laxer[attribute]}`, (genuine) => ({ ...genuine, [attribute]: laxer[attribute] })),
  makesTokenObject: attribute === 'token',
});

const omitted = (purpose: KekPurpose): Probe =>
  lax(purpose, 'a key with the token’s own defaults', ({ class: kind, keyType }) => ({ class: kind, keyType, token: false }) as Template);

// An attribute that the kind of key has not, or has at the lax value by design, is not tried.
const tried: Record<KekPurpose, readonly AttributeName[]> = {
  oprf: ['token', 'private', 'sensitive', 'extractable', 'decrypt', 'sign', 'unwrap', 'modifiable'],
  auth: ['token', 'private', 'sensitive', 'extractable', 'encrypt', 'decrypt', 'sign', 'wrap', 'unwrap', 'derive', 'modifiable'],
  release: ['token', 'private', 'sensitive', 'encrypt', 'decrypt', 'sign', 'wrap', 'unwrap', 'derive', 'modifiable'],
};

export const unwrapProbes: readonly Probe[] = (['oprf', 'auth', 'release'] as const).flatMap((purpose) => [
  ...tried[purpose].map((attribute) => relaxed(purpose, attribute as keyof typeof laxer)),
  omitted(purpose),
]);

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
export const hostWrappingKey = ({ session }: ReplicaToken): KeyHandle => session.create(hostKey);

/** A secret as `openSealed` leaves it. */
export const wrappableSecret = ({ session, profile }: ReplicaToken, purpose: 'auth' | 'release'): KeyHandle =>
  session.generateKey(plain(CKM.GENERIC_SECRET_KEY_GEN), { ...opened(purpose, profile), valueLength: 32 });

function genuineBlob(token: ReplicaToken, purpose: KekPurpose): { blob: Uint8Array; more: Template } {
  if (purpose !== 'oprf')
    return { blob: token.session.withTemporary((keep) => wrapSecret(token, purpose, keep(wrappableSecret(token, purpose)))), more: {} };
  const { wrappedKey, publicKey } = newOprfKey(token, multiple(2n));
  return { blob: wrappedKey, more: unwrapExtras(token, publicKey) ?? {} };
}
