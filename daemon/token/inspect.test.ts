import { afterAll, expect, it } from 'vitest';
import { inspectModule, requireMechanisms } from './inspect.ts';
import { makeTestToken } from './testing.ts';

const { location, provisioned } = makeTestToken(afterAll);
const inspected = inspectModule(location.module);

it('lists the tokens of a module without a PIN', () => {
  expect(inspected.library).toBe('Implementation of PKCS11');
  expect(inspected.slots).toMatchObject([
    { label: 'test', serial: provisioned.identity.serial, initialised: true },
    { label: '', initialised: false },
  ]);
});

it('names the mechanisms that a token lacks', () => {
  const [slot] = inspected.slots;
  if (slot === undefined) throw new Error('no slot');
  expect(() => requireMechanisms(slot, location.profile)).not.toThrow();
  const without = { ...slot, mechanisms: slot.mechanisms.filter((mechanism) => mechanism !== 0x1050 && mechanism !== 0x2109) };
  expect(() => requireMechanisms(without, location.profile)).toThrow(
    expect.objectContaining({
      code: 'TOKEN_UNFIT',
      message: 'Token test does not list ECDH1_DERIVE (0x1050), wrapping of secrets (0x2109).',
    }),
  );
});

it('says that a module is missing', () =>
  expect(() => inspectModule('/nowhere.so')).toThrow(expect.objectContaining({ code: 'MODULE_MISSING' })));
