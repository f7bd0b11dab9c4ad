import pkcs11js from 'pkcs11js';
import { constantTimeEqual, exactly } from '../../../primitives/bytes.ts';
import { isVaultError, VaultError } from '../../../primitives/errors.ts';
import type { SecretBytes } from '../../../primitives/secret-bytes.ts';
import type { Template } from '../pkcs11/attributes.ts';
import { CKM, oaep, plain } from '../pkcs11/mechanisms.ts';
import { findSlot, inModule, type Module, tokenInfo } from '../pkcs11/module.ts';
import { type KeyHandle, TokenSession } from '../pkcs11/session.ts';
import { inheritedProbes, waitingProbes } from '../probe/heir-probes.ts';
import type { Probe } from '../probe/probe.ts';
import { runRequired, whyUnfit } from '../probe/probes.ts';
import type { Profile } from '../profile.ts';
import { checkBequest } from './bequest.ts';
import { type Bequest, encodeHeir, type Heir, parseHeir, WRAPPED_LENGTH } from './heir-files.ts';
import { heirPrivateKey, heirPublicKey, heirWrappingKey, inheritedKekWithTemplate, inheritedMac } from './heir-templates.ts';
import { deviations } from './key-record.ts';
import { findKeySets, type KeyOwner, keyLabel, lineageId, type StorageKeys, type StorageName, storageNames } from './key-sets.ts';
import { allOrNothing } from './make-keys.ts';
import type { ReplicaLocation, StorageToken, TokenWith } from './replica.ts';
import { kek } from './templates.ts';
import { heirLabel, requireVacant } from './vacant.ts';

// What a second token does to be given a replica's keys: docs/adr/0020. Not for a process that serves.

export interface HeirOptions extends Omit<ReplicaLocation, 'epoch'> {
  readonly pin: SecretBytes;
}

/** Makes the pair that takes in one bequest, where the token does not wait already. Throws CONFIG_INVALID where it is the replica's own, TOKEN_UNFIT. */
export const makeHeir = (options: HeirOptions): Heir =>
  inToken(options, (session, module) => {
    requireVacant(session, options);
    const label = heirLabel(options);
    if (session.find({ label }, 1).length > 0) return findHeir(module, session, options).heir;
    allOrNothing(session, (made) => {
      const { publicKey, privateKey } = session.generateKeyPair(
        plain(CKM.RSA_PKCS_KEY_PAIR_GEN),
        { ...heirPublicKey, label },
        { ...heirPrivateKey(options.profile), label },
      );
      made.push(publicKey, privateKey);
      probeWaiting({ session, profile: options.profile, keys: {} }, readModulus(session, publicKey), privateKey);
    });
    return findHeir(module, session, options).heir;
  });

/** Destroys the pair: what was or will be wrapped for it is opened by nobody. Throws KEY_MISSING where there is none. */
export const giveUpHeir = (options: HeirOptions): void => inToken(options, (session) => destroyPair(session, options));

/**
 * Takes the keys of a bequest into the token, for reading only, shows that it reads with them, and destroys the pair: or leaves all as it
 * was. Throws KEY_MISSING where the token does not wait, CONFIG_INVALID for a bequest that is not this heir's or was changed, TOKEN_UNFIT.
 */
export const inherit = (options: HeirOptions, bequest: Bequest): void =>
  inToken(options, (session, module) => {
    requireVacant(session, options);
    const found = findHeir(module, session, options);
    if (!constantTimeEqual(found.heir.hash, bequest.heir))
      throw new VaultError('CONFIG_INVALID', 'The bequest was made for another heir: nothing was taken over.');
    clear(session, options, bequest);
    allOrNothing(session, (made) => {
      const keys = asWrongBequest(() => {
        const taken = takeIn(session, options, found.privateKey, bequest, made);
        checkBequest({ session, profile: options.profile, keys: taken }, bequest);
        return taken;
      });
      expectReadOnly({ session, profile: options.profile, keys }, bequest);
    });
    destroyPair(session, options);
  });

function inToken<T>(options: HeirOptions, work: (session: TokenSession, module: Module) => T): T {
  return inModule(options, (module) => {
    const session = new TokenSession(module, findSlot(module, options.tokenLabel));
    session.login(options.profile.userType, options.pin);
    return work(session, module);
  });
}

function findHeir(module: Module, session: TokenSession, options: HeirOptions): { heir: Heir; privateKey: KeyHandle } {
  const label = heirLabel(options);
  const find = (kind: number) => session.findOne({ class: kind, label }, `key ${label}: it does not wait for a bequest, or not any more`);
  const [privateKey, publicKey] = [find(pkcs11js.CKO_PRIVATE_KEY), find(pkcs11js.CKO_PUBLIC_KEY)];
  const { manufacturer, model, serial } = tokenInfo(module, findSlot(module, options.tokenLabel));
  const { fleet, index } = options;
  const modulus = readModulus(session, publicKey);
  return { heir: parseHeir(encodeHeir({ fleet, index, token: { manufacturer, model, serial }, modulus })), privateKey };
}

const readModulus = (session: TokenSession, publicKey: KeyHandle) =>
  exactly(WRAPPED_LENGTH, session.read(publicKey, 'modulus') ?? new Uint8Array(0), 'the modulus');

/** What a bequest is tried with before there is one. */
function probeWaiting(token: TokenWith<never>, modulus: Uint8Array, privateKey: KeyHandle): void {
  const { session } = token;
  session.withTemporary((keep) => {
    const key = keep(session.generateKey(plain(CKM.AES_KEY_GEN), { ...kek('release', token.profile), token: false, extractable: true }));
    const wrapped = session.wrap(oaep(), keep(session.create(heirWrappingKey(modulus))), key, WRAPPED_LENGTH);
    expectRefused({ ...token, privateKey, wrapped }, waitingProbes);
  });
}

/** What a crash left of the same bequest. Throws CONFIG_INVALID for a set that came with another one. */
function clear(session: TokenSession, options: HeirOptions, { set, heir }: Bequest): void {
  const left = findKeySets(session, options).find(({ number }) => number === set)?.objects ?? [];
  if (
    left.some(
      ({ name, object }) => !constantTimeEqual(session.read(object, 'id') ?? new Uint8Array(0), lineageId('inherited', name, set, heir)),
    )
  )
    throw new VaultError('CONFIG_INVALID', `The token inherited the keys of epoch ${set} already: nothing was taken over.`);
  for (const { object } of left) session.destroy(object);
}

const inheritedKeys: Readonly<Record<StorageName, (profile: Profile) => Template>> = {
  mac: inheritedMac,
  'kek-oprf': (profile) => inheritedKekWithTemplate('oprf', profile),
  'kek-auth': (profile) => inheritedKekWithTemplate('auth', profile),
  'kek-release': (profile) => inheritedKekWithTemplate('release', profile),
};

function takeIn(session: TokenSession, options: HeirOptions, privateKey: KeyHandle, bequest: Bequest, made: KeyHandle[]): StorageKeys {
  const { set, heir, keys } = bequest;
  const taken = storageNames.map((name) => {
    const marks = { label: keyLabel(options, name, set), id: lineageId('inherited', name, set, heir) };
    const key = session.unwrap(oaep(), privateKey, keys[name], { ...inheritedKeys[name](options.profile), ...marks });
    made.push(key);
    return [name, key] as const;
  });
  return Object.fromEntries(taken) as StorageKeys;
}

/** A token says no more of a wrong bequest than that it failed. */
function asWrongBequest<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!wrongBequest.some((code) => isVaultError(cause, code))) throw cause;
    throw new VaultError(
      'CONFIG_INVALID',
      'The bequest is not what was wrapped for this heir, or it was changed: nothing was taken over.',
      {
        cause,
      },
    );
  }
}

const wrongBequest = ['TOKEN_FAULT', 'MAC_REFUSED', 'PROOF_REFUSED'] as const;

function expectReadOnly(token: StorageToken, bequest: Bequest): void {
  for (const name of storageNames) {
    const wrong = deviations(token, name);
    if (wrong.length > 0) throw unfit(`the inherited ${name} does not have the attributes it should: ${wrong.join(', ')}.`);
  }
  expectRefused(token, inheritedProbes(bequest));
}

function expectRefused<Token extends TokenWith<never>>(token: Token, probes: readonly Probe<Token>[]): void {
  const why = whyUnfit(runRequired(token, probes));
  if (why !== undefined) throw unfit(why);
}

const unfit = (why: string): VaultError => new VaultError('TOKEN_UNFIT', `The token is not fit to be an heir: ${why}`);

/** The private half first: the other one is good for nothing. */
function destroyPair(session: TokenSession, owner: KeyOwner): void {
  const label = heirLabel(owner);
  const find = () => [pkcs11js.CKO_PRIVATE_KEY, pkcs11js.CKO_PUBLIC_KEY].flatMap((kind) => session.find({ class: kind, label }, 9));
  const pair = find();
  if (pair.length === 0) throw new VaultError('KEY_MISSING', `The token holds no key ${label}: it does not wait for a bequest.`);
  for (const key of pair) session.destroy(key);
  if (find().length > 0)
    throw new VaultError('TOKEN_FAULT', 'The token was told to destroy the pair that takes in a bequest, and it is still there.');
}
