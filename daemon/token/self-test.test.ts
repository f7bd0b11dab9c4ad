import { afterAll, describe, expect, it } from 'vitest';
import { openReplica, type ReplicaToken } from './keys/replica.ts';
import { kek, stored } from './keys/templates.ts';
import { CKM, plain } from './pkcs11/mechanisms.ts';
import { nestedTemplate } from './pkcs11/nested.ts';
import { allProbes, isEnforced, runProbes, runRequiredProbes } from './probe/probes.ts';
import { selfTest } from './self-test.ts';
import { makeTestToken, pin } from './testing.ts';

const token = openReplica(makeTestToken(afterAll).location, pin());
const { profile, session } = token;
afterAll(() => token.module.C_Finalize());

const knownRisks: Record<string, string[]> = {
  softhsm2: [],
  'nss-softokn': ['allowedMechanisms', 'copy', 'derive', 'extractable', 'trusted', 'unwrapTemplate'],
};

const unfit = (message: RegExp) => expect.objectContaining({ code: 'TOKEN_UNFIT', message: expect.stringMatching(message) });

/** The replica with one KEK made otherwise than provisioning makes it. */
function withKek(changes: object): ReplicaToken {
  const key = session.generateKey(plain(CKM.AES_KEY_GEN), {
    ...kek('release', profile),
    ...(profile.unwrapTemplate ? { unwrapTemplate: nestedTemplate(stored('release', profile)) } : {}),
    ...changes,
    token: false,
  });
  return { ...token, keys: { ...token.keys, 'kek-release': key } };
}

describe('what a hostile host with the PIN is refused', () => {
  it.each(runRequiredProbes(token))('$name (stopped by $stoppedBy)', ({ outcome }) => expect(outcome).toBe('refused'));

  it('is all that the profile says, and a profile that says less is a known risk', () => {
    const unprotected = allProbes.map(({ stoppedBy }) => stoppedBy).filter((guard) => !isEnforced(guard, profile));
    expect([...new Set(unprotected)].sort()).toEqual(knownRisks[profile.vendor]);
  });
});

describe('the self-test', () => {
  it('passes a provisioned token', () => expect(() => selfTest(token)).not.toThrow());

  it.each([
    ['a KEK that decrypts', { decrypt: true }, /kek-release .* decrypt/],
    ['a KEK that can be changed', { modifiable: true }, /kek-release .* modifiable/],
    ['a KEK that may leave', { extractable: true }, /kek-release .* extractable/],
    ...(profile.allowedMechanisms
      ? ([
          ['a KEK for another mechanism', { allowedMechanisms: [CKM.AES_ECB, profile.wrap.secret] }, /kek-release .* allowedMechanisms/],
        ] as const)
      : []),
  ] as const)('refuses %s', (_, changes, message) => expect(() => selfTest(withKek(changes))).toThrow(unfit(message)));

  it.runIf(profile.unwrapTemplate)('finds by trying that a KEK unwraps anything as anything', () => {
    const loose = withKek({ unwrapTemplate: nestedTemplate({ token: false }) });
    const accepted = runProbes(loose).filter(({ outcome }) => outcome !== 'refused');
    expect(accepted.map(({ name }) => name)).toContain('unwrap under kek-release as sensitive=false');
    expect(accepted.every(({ stoppedBy }) => stoppedBy === 'unwrapTemplate')).toBe(true);
  });

  it('refuses a receipt key that is not the one announced', () => {
    const other = { ...token, identity: { ...token.identity, receiptKey: token.identity.sessionKey } };
    expect(() => selfTest(other)).toThrow(unfit(/receipt key/));
  });
});
