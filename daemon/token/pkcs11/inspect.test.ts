import { afterAll, expect, it } from 'vitest';
import { makeTestToken } from '../testing.ts';
import { inspectModule, requireMechanisms } from './inspect.ts';

const { location, provisioned } = makeTestToken(afterAll);
const inspected = inspectModule(location.module, location.initParameters);
const slot = inspected.slots.find(({ label }) => label === 'test');

it('lists the tokens of a module without a PIN', () => {
  const { serial, manufacturer, model } = provisioned.identity;
  expect(slot).toMatchObject({ serial, manufacturer, model, initialised: true });
  expect(inspected.slots).toHaveLength(2); // SoftHSM2: a blank one; NSS: one without keys
});

it('names the mechanisms that a token lacks', () => {
  if (slot === undefined) throw new Error('no slot');
  expect(() => requireMechanisms(slot, location.profile)).not.toThrow();
  const without = {
    ...slot,
    mechanisms: slot.mechanisms.filter((mechanism) => mechanism !== 0x1050 && mechanism !== location.profile.wrap.secret),
  };
  expect(() => requireMechanisms(without, location.profile)).toThrow(
    expect.objectContaining({
      code: 'TOKEN_UNFIT',
      message: 'Token test does not list ECDH1_DERIVE (0x1050), wrapping of secrets (0x2109).',
    }),
  );
});

it('says that a module is missing', () =>
  expect(() => inspectModule('/nowhere.so')).toThrow(expect.objectContaining({ code: 'MODULE_MISSING' })));
