import { afterAll, describe, expect, it } from 'vitest';
import { makeTestToken, pin } from '../../test/harness/test-token.ts';
import type { KeyName } from './keys/key-sets.ts';
import { makeKey } from './keys/make-keys.ts';
import { openReplica, type ReplicaToken } from './keys/replica.ts';
import { keyTemplates } from './keys/templates.ts';
import type { Template } from './pkcs11/attributes.ts';
import { CKM } from './pkcs11/mechanisms.ts';
import { allProbes, isEnforced, runRequiredProbes } from './probe/probes.ts';
import { selfTest } from './self-test.ts';

const token = openReplica(makeTestToken(afterAll).location, pin());
const { profile, session } = token;
afterAll(() => token.module.C_Finalize());

const knownRisks: Record<string, string[]> = { 'nss-softokn': ['allowedMechanisms', 'copy', 'derive', 'extractable'] };

const unfit = (message: RegExp) => expect.objectContaining({ code: 'TOKEN_UNFIT', message: expect.stringMatching(message) });

/** The replica with one key made otherwise than provisioning makes it. */
function withKey(name: KeyName, changes: Template): ReplicaToken {
  const [key = token.keys[name]] = makeKey(session, profile, name, { token: false, ...changes });
  return { ...token, keys: { ...token.keys, [name]: key } };
}

describe('what a hostile host with the PIN is refused', () => {
  it.each(runRequiredProbes(token))('$name (stopped by $stoppedBy)', ({ outcome }) => expect(outcome).toBe('refused'));

  it('is all that the profile says, and a profile that says less is a known risk', () => {
    const unprotected = allProbes.map(({ stoppedBy }) => stoppedBy).filter((guard) => !isEnforced(guard, profile));
    expect([...new Set(unprotected)].sort()).toEqual(knownRisks[profile.vendor] ?? []);
  });
});

describe('the self-test', () => {
  it('passes a provisioned token', () => expect(() => selfTest(token)).not.toThrow());

  it('passes it in short, too', () => expect(() => selfTest(token, 'short')).not.toThrow());

  it.each([
    ['an OPRF key that unwraps', 'oprf', { unwrap: true }, /oprf .* unwrap/],
    ['a release key that unwraps', 'release', { unwrap: true }, /release .* unwrap/],
    ['a receipt key that derives', 'receipt', { derive: true }, /receipt .* derive/],
    ['a MAC key that derives', 'mac', { derive: true }, /mac .* derive/],
    ['a MAC key that can be changed', 'mac', { modifiable: true }, /mac .* modifiable/],
    ...(['oprf', 'release', 'mac', 'receipt'] as const).map(
      (name) => [`an extractable ${name} key`, name, { extractable: true }, new RegExp(`${name} .* extractable`)] as const,
    ),
    ...(profile.allowedMechanisms
      ? ([['a key for two mechanisms', 'oprf', { allowedMechanisms: [CKM.ECDH1_DERIVE, CKM.ECDSA] }, /oprf .* allowedMechanisms/]] as const)
      : []),
  ] as const)('refuses %s', (_, name, changes, message) => expect(() => selfTest(withKey(name, changes))).toThrow(unfit(message)));

  it.each(['oprfKey', 'releaseKey', 'receiptKey'] as const)('refuses a token whose %s is not the one announced', (name) => {
    const { oprfKey, releaseKey, receiptKey } = token.identity;
    const another = { oprfKey: releaseKey, releaseKey: receiptKey, receiptKey: oprfKey }[name];
    const says = {
      oprfKey: /oprf key does not fit/,
      releaseKey: /release key does not fit/,
      receiptKey: /not verify with the public key of the receipt/,
    };
    for (const extent of ['full', 'short'] as const)
      expect(() => selfTest({ ...token, identity: { ...token.identity, [name]: another } }, extent)).toThrow(unfit(says[name]));
  });

  it('refuses keys of a set before that are one key', () => {
    const keys = { ...token.keys, release: token.keys.oprf };
    expect(() => selfTest({ ...token, set: 3, older: [{ number: 1, keys }] })).toThrow(unfit(/set 1/));
    expect(() => selfTest({ ...token, set: 3, older: [{ number: 1, keys: token.keys }] })).not.toThrow();
  });
});

it('no key has a use beside its own', () => {
  const uses = Object.entries(keyTemplates).map(([name, template]) => {
    const asked = template(profile) as Record<string, unknown>;
    return [name, ['encrypt', 'decrypt', 'sign', 'verify', 'wrap', 'unwrap', 'derive'].filter((use) => asked[use])];
  });
  expect(Object.fromEntries(uses)).toEqual({ oprf: ['derive'], release: ['derive'], mac: ['sign', 'verify'], receipt: ['sign'] });
});
