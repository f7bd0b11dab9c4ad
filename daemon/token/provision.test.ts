import { afterAll, describe, expect, it } from 'vitest';
import { provisionReplica } from './provision.ts';
import { makeTestToken, pin, soPin } from './testing.ts';

const { location, provisioned } = makeTestToken(afterAll);

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
        local: true,
        modifiable: false,
        decrypt: false,
      });
    expect(provisioned.identity).toMatchObject({ manufacturer: 'SoftHSM project', model: 'SoftHSM v2' });
    expect(provisioned.identity.sessionKey).toHaveLength(33);
    expect(provisioned.identity.receiptKey).toHaveLength(33);
  });

  it('makes KEK_oprf and KEK_auth trusted, and private and unmodifiable all the same', () => {
    const trusted = provisioned.keys.filter(({ attributes }) => attributes.trusted).map(({ name }) => name);
    expect(trusted).toEqual(['kek-oprf', 'kek-auth']);
  });

  it('gives each key one use', () => {
    const uses = ['encrypt', 'decrypt', 'sign', 'verify', 'wrap', 'unwrap', 'derive'];
    const table = Object.fromEntries(
      provisioned.keys.map((key) => [key.name, [uses.filter((use) => key.attributes[use]), key.allowedMechanisms]]),
    );
    expect(table).toEqual({
      session: [['derive'], ['0x1050']],
      receipt: [['sign'], ['0x1041']],
      mac: [['sign', 'verify'], ['0x251']],
      'kek-oprf': [['wrap', 'unwrap'], ['0x210a']],
      'kek-auth': [['wrap', 'unwrap'], ['0x2109']],
      'kek-release': [['wrap', 'unwrap'], ['0x2109']],
    });
  });

  it('refuses to run twice, and leaves another index free', () => {
    expect(() => provisionReplica({ ...location, pin: pin(), soPin: soPin() })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
    expect(provisionReplica({ ...location, index: 2, pin: pin(), soPin: soPin() }).keys).toHaveLength(6);
  });

  it('makes nothing without the officer, or with the wrong PIN of the officer', () => {
    expect(() => provisionReplica({ ...location, index: 3, pin: pin() })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    expect(() => provisionReplica({ ...location, index: 3, pin: pin(), soPin: pin() })).toThrow(
      expect.objectContaining({ code: 'PIN_REFUSED' }),
    );
    expect(provisionReplica({ ...location, index: 3, pin: pin(), soPin: soPin() }).keys).toHaveLength(6);
  });
});
