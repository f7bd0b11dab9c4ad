import type { AttributeName, Template } from './attributes.ts';
import { newOprfKey } from './evaluate.ts';
import { bornOprfKey, generateKey, importKey, openedSecret, unprotected, wrapWays } from './host-keys.ts';
import { plain } from './mechanisms.ts';
import type { Keep, Probe, Way } from './probe.ts';
import { multiple } from './reference.ts';
import type { ReplicaToken } from './replica.ts';
import { unwrapExtras, wrapSecret } from './stored.ts';
import { type KekPurpose, kekMechanism, stored } from './templates.ts';

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

const lax = (purpose: KekPurpose, name: string, change: (genuine: Template) => Template): Probe => {
  const way: Way = (token, keep) => {
    const { session, profile, keys } = token;
    const { blob, more } = genuineBlob(token, purpose, keep);
    const unwrapAs = (template: Template) =>
      keep(session.unwrap(plain(kekMechanism(purpose, profile)), keys[`kek-${purpose}`], blob, { ...template, ...more }));
    unwrapAs(stored(purpose, profile));
    return () => unwrapAs(change(stored(purpose, profile)));
  };
  return { name: `unwrap under kek-${purpose} as ${name}`, stoppedBy: 'unwrapTemplate', ways: () => [way] };
};

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

function genuineBlob(token: ReplicaToken, purpose: KekPurpose, keep: Keep): { blob: Uint8Array; more: Template } {
  if (purpose !== 'oprf') return { blob: wrapSecret(token, purpose, keep(openedSecret(token, purpose))), more: {} };
  const { wrappedKey, publicKey } = newOprfKey(token, multiple(2n));
  return { blob: wrappedKey, more: unwrapExtras(token, publicKey) ?? {} };
}
