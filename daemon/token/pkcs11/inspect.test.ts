import { afterAll, expect, it } from 'vitest';
import { makeTestToken } from '../../../test/harness/test-token.ts';
import { inspectModule, missingMechanisms, requireMechanisms } from './inspect.ts';

const { location, provisioned } = makeTestToken(afterAll);
const { profile } = location;
const inspected = inspectModule(location);
const slot = inspected.slots.find(({ label }) => label === 'test');
const without = (...numbers: number[]) => ({
  label: 'test',
  mechanisms: (slot?.mechanisms ?? []).filter((mechanism) => !numbers.includes(mechanism)),
});

it('lists the tokens of a module without a PIN', () => {
  const { serial, manufacturer, model } = provisioned.identity;
  expect(slot).toMatchObject({ serial, manufacturer, model, initialised: true, hasPin: true, id: expect.any(BigInt) });
  expect(inspected.slots.length).toBeGreaterThanOrEqual(1);
  expect(provisioned.mechanisms).toEqual(slot?.mechanisms);
});

it('names the mechanisms that a token lacks, and the field of the profile that asks for them', () => {
  if (slot === undefined) throw new Error('no slot');
  expect(() => requireMechanisms(slot, profile)).not.toThrow();
  const lacking = { ...slot, ...without(0x1050, profile.hmac.generate) };
  expect(() => requireMechanisms(lacking, profile)).toThrow(
    expect.objectContaining({ code: 'TOKEN_UNFIT', message: 'Token test does not list ECDH1_DERIVE (0x1050), hmac.generate (0x350).' }),
  );
});

it('asks for what the readout takes', () => {
  const readout = { way: 'wrap-decrypt', wrap: 0x1082, decrypt: 0x1085, iv: 'zero' } as const;
  const none = without(0x1080, 0x1082, 0x1085, 0x9);
  expect(missingMechanisms(none, { ...profile, readout: { way: 'read' } })).toEqual([]);
  expect(missingMechanisms(none, { ...profile, readout })).toEqual([
    'AES_KEY_GEN (0x1080)',
    'readout.wrap (0x1082)',
    'readout.decrypt (0x1085)',
  ]);
  expect(missingMechanisms(none, { ...profile, readout: { way: 'oaep', hash: 'sha1' } })).toEqual(['RSA_PKCS_OAEP (0x9)']);
});

it('says that a module is missing', () =>
  expect(() => inspectModule({ module: '/nowhere.so', profile })).toThrow(expect.objectContaining({ code: 'MODULE_MISSING' })));
