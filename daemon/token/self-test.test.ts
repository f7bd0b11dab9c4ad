import { afterAll, describe, expect, it } from 'vitest';
import { CKM, plain } from './mechanisms.ts';
import { nestedTemplate } from './nested.ts';
import { runProbes } from './probes.ts';
import { openReplica, type ReplicaToken } from './replica.ts';
import { selfTest } from './self-test.ts';
import { kek, stored } from './templates.ts';
import { makeTestToken, pin } from './testing.ts';

const token = openReplica(makeTestToken(afterAll).location, pin());
const { profile, session } = token;
afterAll(() => token.module.C_Finalize());

const unfit = (message: RegExp) => expect.objectContaining({ code: 'TOKEN_UNFIT', message: expect.stringMatching(message) });

/** The replica with one KEK made otherwise than provisioning makes it. */
function withKek(changes: object): ReplicaToken {
  const key = session.generateKey(plain(CKM.AES_KEY_GEN), {
    ...kek('release', profile),
    unwrapTemplate: nestedTemplate(stored('release', profile)),
    ...changes,
    token: false,
  });
  return { ...token, keys: { ...token.keys, 'kek-release': key } };
}

describe('what a hostile host with the PIN is refused', () => {
  it.each(runProbes(token))('$name (stopped by $stoppedBy)', ({ refused, required }) => {
    expect(required).toBe(true);
    expect(refused).toBe(true);
  });
});

describe('the self-test', () => {
  it('passes a provisioned token', () => expect(() => selfTest(token)).not.toThrow());

  it.each([
    ['a KEK that decrypts', { decrypt: true }, /kek-release .* decrypt/],
    ['a KEK that can be changed', { modifiable: true }, /kek-release .* modifiable/],
    ['a KEK that may leave', { extractable: true }, /kek-release .* extractable/],
    ['a KEK for another mechanism', { allowedMechanisms: [CKM.AES_ECB, profile.wrap.secret] }, /kek-release .* allowedMechanisms/],
  ])('refuses %s', (_, changes, message) => expect(() => selfTest(withKek(changes))).toThrow(unfit(message)));

  it('finds by trying that a KEK unwraps anything as anything', () => {
    const loose = withKek({ unwrapTemplate: nestedTemplate({ token: false }) });
    const accepted = runProbes(loose).filter(({ refused }) => !refused);
    expect(accepted.map(({ name }) => name)).toContain('unwrap under kek-release as sensitive=false');
    expect(accepted.every(({ stoppedBy }) => stoppedBy === 'unwrapTemplate')).toBe(true);
  });

  it('refuses a receipt key that is not the one announced', () => {
    const other = { ...token, identity: { ...token.identity, receiptKey: token.identity.sessionKey } };
    expect(() => selfTest(other)).toThrow(unfit(/receipt key/));
  });
});
