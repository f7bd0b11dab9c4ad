import type { Bequest } from '../keys/heir-files.ts';
import { inheritedKekWithTemplate } from '../keys/heir-templates.ts';
import type { StorageToken, TokenWith } from '../keys/replica.ts';
import { kekMechanism } from '../keys/templates.ts';
import type { Template } from '../pkcs11/attributes.ts';
import { CKM, oaep, plain } from '../pkcs11/mechanisms.ts';
import type { KeyHandle } from '../pkcs11/session.ts';
import { unwrapExtras, WRAPPED_KEY_MAX } from '../stored.ts';
import { generateKey, openedSecret, unprotected, wrapWays } from './host-keys.ts';
import { storageProbes } from './key-probes.ts';
import { type Probe, probe, type Way } from './probe.ts';
import { unwrapProbesOf } from './wrap-probes.ts';

/** A token that waits for a bequest, and something wrapped for it. */
export interface WaitingHeir extends TokenWith<never> {
  readonly privateKey: KeyHandle;
  readonly wrapped: Uint8Array;
}

// What each attribute of an inherited key must not be. Its UNWRAP_TEMPLATE cannot be held to: see docs/adr/0020.
const laxer = {
  private: false,
  sensitive: false,
  extractable: true,
  encrypt: true,
  decrypt: true,
  sign: true,
  wrap: true,
  derive: true,
  modifiable: true,
} as const satisfies Template;

/** What a host may try with the key that takes in a bequest, while it is there. */
export const waitingProbes: readonly Probe<WaitingHeir>[] = [
  probe('attributes', 'read the heir’s key', ({ session, privateKey }) => session.read(privateKey, 'privateExponent')),
  probe('attributes', 'make the heir’s key readable', ({ session, privateKey }) => session.set(privateKey, { sensitive: false })),
  probe('attributes', 'make the heir’s key extractable', ({ session, privateKey }) => session.set(privateKey, { extractable: true })),
  probe('attributes', 'decrypt with the heir’s key', ({ session, privateKey }) => session.beginDecrypt(oaep(), privateKey)),
  probe('attributes', 'switch decrypt on for the heir’s key', ({ session, privateKey }) => session.set(privateKey, { decrypt: true })),
  probe('copy', 'copy the heir’s key with decrypt on', ({ session, privateKey }, keep) =>
    keep(session.copy(privateKey, { token: false, decrypt: true })),
  ),
  {
    name: 'wrap the heir’s key to a key of the host',
    stoppedBy: 'extractable',
    ways: wrapWays<WaitingHeir>(({ privateKey }) => privateKey, unprotected.ecKey),
  },
  ...Object.entries(laxer).map(([attribute, value]): Probe<WaitingHeir> => {
    const way: Way<WaitingHeir> = ({ session, profile, privateKey, wrapped }, keep) => {
      const unwrapWith = (change: Template) =>
        keep(session.unwrap(oaep(), privateKey, wrapped, { ...inheritedKekWithTemplate('release', profile), ...change }));
      unwrapWith({});
      return () => unwrapWith({ [attribute]: value });
    };
    return { name: `unwrap a bequest as ${attribute}=${value}`, stoppedBy: 'unwrapTemplate', makesTokenObject: true, ways: () => [way] };
  }),
];

/** What a host may try with inherited keys. They are for reading only. */
export const inheritedProbes = ({ check }: Bequest): readonly Probe<StorageToken>[] => [
  ...storageProbes,
  probe('attributes', 'sign with an inherited mac', ({ session, keys }) =>
    session.sign(plain(CKM.SHA256_HMAC), keys.mac, new Uint8Array(32), 32),
  ),
  ...(['oprf', 'auth', 'release'] as const).map((purpose): Probe<StorageToken> => {
    const way: Way<StorageToken> = (token, keep) => {
      const secret = keep(openedSecret(token, 'release'));
      const wrapBy = (key: KeyHandle) => token.session.wrap(plain(kekMechanism(purpose, token.profile)), key, secret, WRAPPED_KEY_MAX);
      wrapBy(generateKey(token, keep));
      return () => wrapBy(token.keys[`kek-${purpose}`]);
    };
    return { name: `wrap with an inherited kek-${purpose}`, stoppedBy: 'attributes', ways: () => [way] };
  }),
  ...unwrapProbesOf<StorageToken>((token, purpose) =>
    purpose === 'oprf'
      ? { blob: check.oprf.wrappedKey, more: unwrapExtras(token, check.oprf.publicKey) }
      : { blob: check[purpose], more: undefined },
  ),
];
