import { afterAll, describe, expect, it } from 'vitest';
import { makeTestToken, pin, softHsmProfile } from '../../../test/harness/test-token.ts';
import { CKM } from '../pkcs11/mechanisms.ts';
import { inModule } from '../pkcs11/module.ts';
import { findKeySets } from './key-sets.ts';
import { provisionReplica } from './provision.ts';
import { openReplicaIn } from './replica.ts';

const { location, provisioned } = makeTestToken(afterAll);
const { profile } = location;
const only = (mechanism: number): string[] => (profile.allowedMechanisms ? [`0x${mechanism.toString(16)}`] : []);

describe('provisioning a replica', () => {
  it('makes four keys in the token that can never leave it, and three public points', () => {
    expect(provisioned.keys.map(({ label }) => label)).toEqual(['oprf', 'release', 'mac', 'receipt'].map((name) => `bkv/fleet/1/${name}`));
    for (const { attributes } of provisioned.keys)
      expect(attributes).toMatchObject({
        token: true,
        private: true,
        sensitive: true,
        extractable: false,
        alwaysSensitive: true,
        neverExtractable: true,
        local: profile.local,
        modifiable: false,
      });
    const { recognise } = profile.vendor === 'p11-kit-proxy' ? softHsmProfile() : profile; // what is behind the proxy introduces itself
    expect(provisioned.identity.manufacturer).toMatch(new RegExp(recognise.manufacturer));
    expect(provisioned.identity.model).toMatch(new RegExp(recognise.model));
    const { oprfKey, releaseKey, receiptKey } = provisioned.identity;
    for (const key of [oprfKey, releaseKey, receiptKey]) expect(key).toHaveLength(33);
    expect(new Set([oprfKey, releaseKey, receiptKey].map((key) => Buffer.from(key).toString('hex', 1))).size).toBe(3);
  });

  it('gives each key one use', () => {
    const uses = ['encrypt', 'decrypt', 'sign', 'verify', 'wrap', 'unwrap', 'derive'];
    const table = Object.fromEntries(
      provisioned.keys.map((key) => [key.name, [uses.filter((use) => key.attributes[use]), key.allowedMechanisms]]),
    );
    expect(table).toEqual({
      oprf: [['derive'], only(CKM.ECDH1_DERIVE)],
      release: [['derive'], only(CKM.ECDH1_DERIVE)],
      mac: [['sign', 'verify'], only(CKM.SHA256_HMAC)],
      receipt: [['sign'], only(CKM.ECDSA)],
    });
  });

  it('refuses to run twice, and leaves another index free', () => {
    expect(() => provisionReplica({ ...location, pin: pin() })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    expect(provisionReplica({ ...location, index: 2, pin: pin() }).keys).toHaveLength(4);
  });

  it('keeps nothing that does not pass the self-test once it is opened anew', () => {
    const otherForm = { ...profile, readPoint: profile.readPoint === 'der' ? ('raw' as const) : ('der' as const) };
    const refused = { ...location, index: 3, profile: otherForm };
    expect(() => provisionReplica({ ...refused, pin: pin() })).toThrow(expect.objectContaining({ code: 'TOKEN_UNFIT' }));
    const left = inModule(location, (module) => findKeySets(openReplicaIn(module, location, pin()).session, refused));
    expect(left).toEqual([]);
    expect(provisionReplica({ ...location, index: 3, pin: pin() }).keys).toHaveLength(4);
  });
});
