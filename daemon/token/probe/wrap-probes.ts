import { newOprfKey } from '../evaluate.ts';
import type { ReplicaToken, StorageToken } from '../keys/replica.ts';
import { type KekPurpose, kekMechanism, stored } from '../keys/templates.ts';
import type { Template } from '../pkcs11/attributes.ts';
import { plain } from '../pkcs11/mechanisms.ts';
import { multiple } from '../reference.ts';
import { unwrapExtras, wrapSecret } from '../stored.ts';
import { bornOprfKey, generateKey, importKey, openedSecret, unprotected, wrapWays } from './host-keys.ts';
import type { Keep, Probe, Way } from './probe.ts';

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
  readonly more: Template | undefined;
}

type BlobOf<Token> = (token: Token, purpose: KekPurpose, keep: Keep) => Blob;

type Change = (genuine: Template) => Template;

const lax = <Token extends StorageToken>(blobOf: BlobOf<Token>, purpose: KekPurpose, name: string, change: Change): Probe<Token> => {
  const way: Way<Token> = (token, keep) => {
    const { session, profile, keys } = token;
    const { blob, more } = blobOf(token, purpose, keep);
    const unwrapAs = (template: Template) =>
      keep(session.unwrap(plain(kekMechanism(purpose, profile)), keys[`kek-${purpose}`], blob, { ...template, ...more }));
    unwrapAs(stored(purpose, profile));
    return () => unwrapAs(change(stored(purpose, profile)));
  };
  return { name: `unwrap under kek-${purpose} as ${name}`, stoppedBy: 'unwrapTemplate', ways: () => [way] };
};

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
    ways: wrapWays((token, keep) => bornOprfKey(token, keep, token.profile), unprotected.ecKey),
  },
  {
    name: 'wrap an enrolled auth secret to a key of the host',
    stoppedBy: 'trusted',
    ways: wrapWays((token, keep) => keep(openedSecret(token, 'auth')), unprotected.secret),
  },
  {
    name: 'make a key of the host trusted',
    stoppedBy: 'trusted',
    ways: () => [
      (token, keep) => () => importKey(token, keep, { trusted: true }),
      (token, keep) => () => generateKey(token, keep, { trusted: true }),
      (token, keep) => {
        const key = generateKey(token, keep);
        return () => token.session.set(key, { trusted: true });
      },
    ],
  },
];

function genuineBlob(token: ReplicaToken, purpose: KekPurpose, keep: Keep): Blob {
  if (purpose !== 'oprf') return { blob: wrapSecret(token, purpose, keep(openedSecret(token, purpose))), more: undefined };
  const { wrappedKey, publicKey } = newOprfKey(token, multiple(2n));
  return { blob: wrappedKey, more: unwrapExtras(token, publicKey) };
}
