import { generator } from './curve.ts';
import { publicData } from './evaluate.ts';
import { keyNames } from './key-sets.ts';
import { CKM, ecdh, plain } from './mechanisms.ts';
import type { Probe } from './probe.ts';
import { readableX } from './templates.ts';
import { hostWrappingKey, wrappableSecret } from './wrap-probes.ts';

// What a host may try with the replica's own keys. The attributes they were made with stop all of it.

const everyKey = keyNames.flatMap((name): Probe[] => [
  probe('attributes', `read the value of ${name}`, ({ session, keys }) => session.read(keys[name], 'value')),
  probe('attributes', `make ${name} readable`, ({ session, keys }) => session.set(keys[name], { sensitive: false })),
  probe('attributes', `make ${name} extractable`, ({ session, keys }) => session.set(keys[name], { extractable: true })),
  probe('copy', `copy ${name} to a public object`, ({ session, keys }, keep) =>
    keep(session.copy(keys[name], { token: false, private: false })),
  ),
  probe('copy', `copy ${name} as modifiable`, ({ session, keys }, keep) =>
    keep(session.copy(keys[name], { token: false, modifiable: true })),
  ),
  probe('extractable', `wrap ${name} to a key of the host`, (token, keep) =>
    token.session.wrap(plain(token.profile.wrap.ecPrivateKey), keep(hostWrappingKey(token)), token.keys[name], 256),
  ),
]);

// AES-KW is AES: a KEK that decrypts undoes it.
const everyKek = (['kek-oprf', 'kek-auth', 'kek-release'] as const).flatMap((name): Probe[] => [
  probe('attributes', `decrypt with ${name}`, ({ session, keys }) => session.beginDecrypt(plain(CKM.AES_ECB), keys[name])),
  probe('attributes', `encrypt with ${name}`, ({ session, keys }) => session.beginEncrypt(plain(CKM.AES_ECB), keys[name])),
  probe('attributes', `switch decrypt on for ${name}`, ({ session, keys }) => session.set(keys[name], { decrypt: true })),
  probe('copy', `copy ${name} with decrypt on`, ({ session, keys }, keep) =>
    keep(session.copy(keys[name], { token: false, decrypt: true })),
  ),
  {
    name: `wrap by ${name} with the other purpose’s mechanism`,
    stoppedBy: 'allowedMechanisms',
    attempt: (token, keep) => {
      const { ecPrivateKey, secret } = token.profile.wrap;
      return token.session.wrap(
        plain(name === 'kek-oprf' ? secret : ecPrivateKey),
        token.keys[name],
        keep(wrappableSecret(token, 'auth')),
        256,
      );
    },
  },
]);

const ownKeys: Probe[] = [
  probe('attributes', 'sign with the session key', ({ session, keys }) =>
    session.sign(plain(CKM.ECDSA), keys.session, new Uint8Array(32), 64),
  ),
  probe('derive', 'derive with the receipt key', (token, keep) =>
    keep(token.session.derive(ecdh(publicData(token, generator)), token.keys.receipt, readableX)),
  ),
];

export const keyProbes: readonly Probe[] = [...everyKey, ...everyKek, ...ownKeys];

function probe(stoppedBy: Probe['stoppedBy'], name: string, attempt: Probe['attempt']): Probe {
  return { name, stoppedBy, attempt };
}
