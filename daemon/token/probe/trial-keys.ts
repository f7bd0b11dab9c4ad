import { FIRST_SET } from '../keys/key-sets.ts';
import { type ReplicaToken, readPoint } from '../keys/replica.ts';
import { type KekPurpose, kekWithTemplate, macKey, publicKey, receiptKey, sessionKey } from '../keys/templates.ts';
import { CKM, plain } from '../pkcs11/mechanisms.ts';
import { type Module, type SlotId, tokenInfo } from '../pkcs11/module.ts';
import type { KeyHandle, TokenSession } from '../pkcs11/session.ts';
import type { Profile } from '../profile.ts';

/** In memory only: they end with their session. */
const forTrial = { token: false } as const;

/** A replica's keys as provisioning makes them, but as objects of this session. Trust is left out: only the officer can give it. */
export function makeTrialKeys(module: Module, slot: SlotId, session: TokenSession, genuine: Profile): ReplicaToken {
  const profile: Profile = { ...genuine, trusted: 'none' };
  const kek = (purpose: KekPurpose): KeyHandle =>
    session.generateKey(plain(CKM.AES_KEY_GEN), { ...kekWithTemplate(purpose, profile), ...forTrial });
  const pair = (name: 'session' | 'receipt') =>
    session.generateKeyPair(plain(CKM.EC_KEY_PAIR_GEN), publicKey(false, name === 'receipt'), {
      ...(name === 'session' ? sessionKey(profile) : receiptKey(profile)),
      ...forTrial,
    });
  const [ofSession, ofReceipt] = [pair('session'), pair('receipt')];
  const keys: ReplicaToken['keys'] = {
    session: ofSession.privateKey,
    receipt: ofReceipt.privateKey,
    mac: session.generateKey(plain(CKM.GENERIC_SECRET_KEY_GEN), { ...macKey(profile), ...forTrial }),
    'kek-oprf': kek('oprf'),
    'kek-auth': kek('auth'),
    'kek-release': kek('release'),
  };
  const { label: _label, ...info } = tokenInfo(module, slot);
  const identity = {
    ...info,
    sessionKey: readPoint(session, ofSession.publicKey, profile),
    receiptKey: readPoint(session, ofReceipt.publicKey, profile),
    keySets: [FIRST_SET],
  };
  return { module, session, profile, set: FIRST_SET, keys, older: [], bootLabel: 'bkv/probe/boot', identity };
}
