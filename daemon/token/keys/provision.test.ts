import { afterAll, describe, expect, it } from 'vitest';
import { CKM } from '../pkcs11/mechanisms.ts';
import { makeTestToken, pin, soPin } from '../testing.ts';
import { provisionReplica } from './provision.ts';

const { location, provisioned } = makeTestToken(afterAll);
const { profile } = location;
const { ecPrivateKey, secret } = profile.wrap;
const hasOfficer = profile.trusted !== 'none';
const only = (mechanism: number): string[] => (profile.allowedMechanisms ? [`0x${mechanism.toString(16)}`] : []);

describe('provisioning a replica', () => {
  it('makes six keys in the token that can never leave it, and two public points', () => {
    expect(provisioned.keys.map(({ label }) => label)).toEqual(
      ['session', 'receipt', 'mac', 'kek-oprf', 'kek-auth', 'kek-release'].map((name) => `bkv/fleet/1/${name}`),
    );
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
        decrypt: false,
      });
    expect(provisioned.identity.manufacturer).toMatch(new RegExp(profile.recognise.manufacturer));
    expect(provisioned.identity.model).toMatch(new RegExp(profile.recognise.model));
    expect(provisioned.identity.sessionKey).toHaveLength(33);
    expect(provisioned.identity.receiptKey).toHaveLength(33);
  });

  it('makes KEK_oprf and KEK_auth trusted where the token knows trust, and private and unmodifiable all the same', () => {
    const trusted = provisioned.keys.filter(({ attributes }) => attributes.trusted).map(({ name }) => name);
    expect(trusted).toEqual(hasOfficer ? ['kek-oprf', 'kek-auth'] : []);
  });

  it('gives each key one use', () => {
    const uses = ['encrypt', 'decrypt', 'sign', 'verify', 'wrap', 'unwrap', 'derive'];
    const table = Object.fromEntries(
      provisioned.keys.map((key) => [key.name, [uses.filter((use) => key.attributes[use]), key.allowedMechanisms]]),
    );
    expect(table).toEqual({
      session: [['derive'], only(CKM.ECDH1_DERIVE)],
      receipt: [['sign'], only(CKM.ECDSA)],
      mac: [['sign', 'verify'], only(CKM.SHA256_HMAC)],
      'kek-oprf': [['wrap', 'unwrap'], only(ecPrivateKey)],
      'kek-auth': [['wrap', 'unwrap'], only(secret)],
      'kek-release': [['wrap', 'unwrap'], only(secret)],
    });
  });

  it('refuses to run twice, and leaves another index free', () => {
    expect(() => provisionReplica({ ...location, pin: pin(), soPin: soPin() })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
    expect(provisionReplica({ ...location, index: 2, pin: pin(), soPin: soPin() }).keys).toHaveLength(6);
  });

  it.runIf(hasOfficer)('makes nothing without the officer, or with the wrong PIN of the officer', () => {
    expect(() => provisionReplica({ ...location, index: 3, pin: pin() })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    expect(() => provisionReplica({ ...location, index: 3, pin: pin(), soPin: pin() })).toThrow(
      expect.objectContaining({ code: 'PIN_REFUSED' }),
    );
    expect(provisionReplica({ ...location, index: 3, pin: pin(), soPin: soPin() }).keys).toHaveLength(6);
  });
});
