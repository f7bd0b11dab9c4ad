import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { behindShim, compileFaultShim, Faults } from '../../../test/harness/fault-shim.ts';
import { makeTestToken, pin } from '../../../test/harness/test-token.ts';
import { explainDerivation } from '../explain-derivation.ts';
import { type AttributeName, attributeType } from '../pkcs11/attributes.ts';
import type { Profile } from '../profile.ts';
import { explainProofKey } from '../proof.ts';
import type { KeyName } from './key-sets.ts';
import { makeKey } from './make-keys.ts';
import { openReplica } from './replica.ts';
import type { KeyClass } from './templates.ts';

// A token that refuses one attribute or mechanism (a shim plays it), and a profile that helps.

const { location, directory } = makeTestToken(afterAll);
const control = `${directory}/shim`;
Object.assign(process.env, behindShim(location.module), { FAULT_SHIM_CONTROL: `${control}.faults` });
const faults = new Faults(control);
const token = openReplica({ ...location, module: compileFaultShim(directory) }, pin());
const { session } = token;
const plainProfile: Profile = { ...token.profile, neverSend: { publicKey: [], privateKey: [], secretKey: [] } };
afterAll(() => token.module.C_Finalize());
afterEach(() => faults.none());

const hex = (name: AttributeName): string => `0x${attributeType(name).toString(16)}`;
const made = (profile: Profile, name: KeyName) => {
  for (const object of makeKey(session, profile, name, { token: false })) session.destroy(object);
};
const says = (...parts: string[]) => expect.objectContaining({ code: 'TOKEN_FAULT', message: expect.stringMatching(parts.join('.*')) });
const isKnown = (name: AttributeName): boolean => !token.profile.neverSend?.privateKey.includes(name as never);

describe('a token that refuses an attribute of a key', () => {
  const refused: [AttributeName, number, KeyName, KeyClass][] = [
    ['modifiable', 0, 'oprf', 'privateKey'],
    ['modifiable', 0, 'mac', 'secretKey'],
    ['copyable', 0, 'receipt', 'privateKey'],
    ['destroyable', 1, 'mac', 'secretKey'],
    ['private', 1, 'mac', 'secretKey'],
    ['unwrap', 0, 'oprf', 'privateKey'],
    ['encrypt', 0, 'mac', 'secretKey'],
  ];

  it.runIf(isKnown('copyable')).each(refused)(
    '%s: %i of key %s is told of it, and of its field neverSend.%s',
    (attribute, value, name, kind) => {
      faults.set(`deny 0xd1 ${name === 'mac' ? 'C_GenerateKey' : 'C_GenerateKeyPair'} ${hex(attribute)} ${value}`);
      expect(() => made(plainProfile, name)).toThrow(
        says('0xd1 \\(TEMPLATE_INCONSISTENT\\)', `without ${attribute} \\(.*neverSend.${kind}\\)`),
      );
      const neverSend = { publicKey: [], privateKey: [], secretKey: [], [kind]: [attribute] } as NonNullable<Profile['neverSend']>;
      expect(() => made({ ...plainProfile, neverSend }, name)).not.toThrow();
    },
  );
});

describe('a token that refuses a mechanism', () => {
  it('that makes MAC keys is told of the field that names another', () => {
    faults.set(`deny 0x70 C_GenerateKey mechanism ${token.profile.hmac.generate}`);
    expect(() => made(token.profile, 'mac')).toThrow(says('MECHANISM_INVALID', 'hmac.generate'));
  });

  it('that makes pairs is told that nothing helps', () => {
    faults.set('deny 0x70 C_GenerateKeyPair mechanism 0x1040');
    expect(() => made(token.profile, 'oprf')).toThrow(says('MECHANISM_INVALID', 'no field'));
  });
});

describe('a token that refuses a derivation', () => {
  it('for an attribute of what is derived is told of deriveTemplate', () => {
    faults.set(`deny 0xd1 C_DeriveKey ${hex('private')} ${token.profile.private.derived ? 1 : 0}`);
    expect(() => explainDerivation(token)).toThrow(
      says('TEMPLATE_INCONSISTENT', 'without private \\(private.derived, deriveTemplate.send\\)'),
    );
    const send = token.profile.deriveTemplate.send.filter((name) => name !== 'private');
    expect(() => explainDerivation({ ...token, profile: { ...token.profile, deriveTemplate: { send } } })).not.toThrow();
  });

  it('without CKD_NULL is told that it cannot serve', () => {
    faults.set('deny-kdf 1');
    expect(() => explainDerivation(token)).toThrow(says('MECHANISM_PARAM_INVALID', 'CKD_NULL'));
  });

  it.runIf(token.profile.readout.way === 'read')('to be readable is told so, and read out in another way', () => {
    faults.set('deny 0xd1 C_DeriveKey 0x103 0'); // SENSITIVE
    expect(() => explainDerivation(token)).toThrow(says('TEMPLATE_INCONSISTENT'));
    const readout = { way: 'oaep', hash: 'sha1' } as const;
    expect(() => explainDerivation({ ...token, profile: { ...token.profile, readout } })).not.toThrow();
  });

  it('to be wrapped is told that another readout may help', () => {
    const readout = { way: 'wrap-decrypt', wrap: 0x1082, decrypt: 0x1082, iv: 'zero' } as const;
    faults.set('fail 0x70 C_WrapKey');
    expect(() => explainDerivation({ ...token, profile: { ...token.profile, readout } })).toThrow(
      says('MECHANISM_INVALID', 'another `readout`'),
    );
  });
});

describe.runIf(token.profile.verify === 'token')('a token that refuses a client’s public key', () => {
  it('for an attribute is told of its field', () => {
    faults.set(`deny 0x13 C_CreateObject ${hex('private')} ${token.profile.private.publicKey ? 1 : 0}`);
    expect(() => explainProofKey(token)).toThrow(says('verify: host', 'without private \\(private.publicKey'));
    const changed = { ...token.profile.private, publicKey: !token.profile.private.publicKey };
    expect(() => explainProofKey({ ...token, profile: { ...token.profile, private: changed } })).not.toThrow();
  });

  it('altogether is told that the host may verify', () => {
    faults.set('fail 0x54 C_CreateObject');
    expect(() => explainProofKey(token)).toThrow(says('FUNCTION_NOT_SUPPORTED', 'verify'));
    expect(() => explainProofKey({ ...token, profile: { ...token.profile, verify: 'host' } })).not.toThrow();
  });
});
