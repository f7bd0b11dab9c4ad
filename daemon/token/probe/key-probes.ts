import { generator } from '../curve.ts';
import { publicData } from '../evaluate.ts';
import { type KeyName, storageNames } from '../keys/key-sets.ts';
import type { StorageToken, TokenWith } from '../keys/replica.ts';
import { type KekPurpose, kekMechanism, readableX, wrappableX } from '../keys/templates.ts';
import type { Template } from '../pkcs11/attributes.ts';
import { CKM, cbc, ctr, ecdh, ecdhSha256, type Mechanism, plain } from '../pkcs11/mechanisms.ts';
import type { KeyHandle } from '../pkcs11/session.ts';
import { bornOprfKey, cipherKey, generateKey, openedSecret, unprotected, WRAPPED_MAX, wrapMechanisms, wrapWays } from './host-keys.ts';
import { type Probe, probe, type Way } from './probe.ts';

// What a host may try with the replica's own keys. The attributes they were made with stop all of it.

const kinds: Record<KeyName, keyof typeof unprotected> = {
  session: 'ecKey',
  receipt: 'ecKey',
  mac: 'secret',
  'kek-oprf': 'aesKey',
  'kek-auth': 'aesKey',
  'kek-release': 'aesKey',
};

const ofKey = <Name extends KeyName>(name: Name): Probe<TokenWith<Name>>[] => [
  probe('attributes', `read the value of ${name}`, ({ session, keys }) => session.read(keys[name], 'value')),
  probe('attributes', `make ${name} readable`, ({ session, keys }) => session.set(keys[name], { sensitive: false })),
  probe('attributes', `make ${name} extractable`, ({ session, keys }) => session.set(keys[name], { extractable: true })),
  probe('copy', `copy ${name} to a public object`, ({ session, keys }, keep) =>
    keep(session.copy(keys[name], { token: false, private: false })),
  ),
  probe('copy', `copy ${name} as modifiable`, ({ session, keys }, keep) =>
    keep(session.copy(keys[name], { token: false, modifiable: true })),
  ),
  {
    name: `wrap ${name} to a key of the host`,
    stoppedBy: 'extractable',
    ways: wrapWays<TokenWith<Name>>(({ keys }) => keys[name], unprotected[kinds[name]]),
  },
];

const purposes = ['oprf', 'auth', 'release'] as const;

// AES-KW is AES: a KEK that decrypts undoes it, in whatever mode.
const everyKek = purposes.flatMap((purpose): Probe<StorageToken>[] => {
  const name = `kek-${purpose}` as const;
  return [
    { name: `decrypt with ${name}`, stoppedBy: 'attributes', ways: cipherWays(name, 'beginDecrypt') },
    { name: `encrypt with ${name}`, stoppedBy: 'attributes', ways: cipherWays(name, 'beginEncrypt') },
    probe('attributes', `switch decrypt on for ${name}`, ({ session, keys }) => session.set(keys[name], { decrypt: true })),
    probe('copy', `copy ${name} with decrypt on`, ({ session, keys }, keep) =>
      keep(session.copy(keys[name], { token: false, decrypt: true })),
    ),
    {
      name: `wrap by ${name} with another mechanism than its own`,
      stoppedBy: 'allowedMechanisms',
      ways: (profile) => {
        const others = wrapMechanisms(profile).filter(({ mechanism }) => mechanism !== kekMechanism(purpose, profile));
        return others.map(
          (mechanism): Way<StorageToken> =>
            (token, keep) => {
              const secret = keep(openedSecret(token, 'release'));
              const wrapBy = (key: KeyHandle) => token.session.wrap(mechanism, key, secret, WRAPPED_MAX);
              wrapBy(generateKey(token, keep));
              return () => wrapBy(token.keys[name]);
            },
        );
      },
    },
  ];
});

const ownKeys: Probe[] = [
  probe('attributes', 'sign with the session key', ({ session, keys }) =>
    session.sign(plain(CKM.ECDSA), keys.session, new Uint8Array(32), 64),
  ),
  {
    name: 'derive with the receipt key',
    stoppedBy: 'derive',
    ways: () => [deriveWay(ecdh, readableX), deriveWay(ecdh, wrappableX), deriveWay((data) => ecdhSha256(data, data), wrappableX)],
  },
];

/** With the keys that store. */
export const storageProbes: readonly Probe<StorageToken>[] = [
  ...storageNames.flatMap((name): Probe<StorageToken>[] => ofKey(name)),
  ...everyKek,
];

export const keyProbes: readonly Probe[] = [...ofKey('session'), ...ofKey('receipt'), ...storageProbes, ...ownKeys];

/** A token may know ECDH only with a KDF, or show no derived value: that says nothing about the receipt key. */
function deriveWay(mechanism: (publicData: Uint8Array) => Mechanism, template: Template): Way {
  return (token, keep) => {
    const derive = (key: KeyHandle) => keep(token.session.derive(mechanism(publicData(token, generator)), key, template));
    derive(bornOprfKey(token, keep, { ...token.profile, trusted: 'none' }));
    return () => derive(token.keys.receipt);
  };
}

function cipherWays(name: `kek-${KekPurpose}`, begin: 'beginDecrypt' | 'beginEncrypt'): Probe<StorageToken>['ways'] {
  return ({ wrap }) =>
    [plain(CKM.AES_ECB), cbc(), ctr(), plain(wrap.secret), plain(wrap.ecPrivateKey)].map(
      (mechanism): Way<StorageToken> =>
        (token, keep) => {
          const use = (key: KeyHandle) => token.session[begin](mechanism, key);
          use(cipherKey(token, keep));
          return () => use(token.keys[name]);
        },
    );
}
