import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { behindShim, compileFaultShim, Faults } from '../../../test/harness/fault-shim.ts';
import { makeBlankToken } from '../../../test/harness/test-token.ts';
import { finalise, initialiseAgain, inModule, openModule, setEnvironment, slotNumber } from './module.ts';

const { location, directory } = makeBlankToken(afterAll);
const control = `${directory}/shim`;
Object.assign(process.env, behindShim(location.module), { FAULT_SHIM_CONTROL: `${control}.faults` });
const faults = new Faults(control);
const shimmed = { ...location, module: compileFaultShim(directory) };
afterEach(() => faults.none());

describe('a module that has no locks', () => {
  it('is started without them where one thread uses it', () => {
    faults.set('cannot-lock');
    const module = openModule(shimmed);
    expect(module.C_GetSlotList(true).length).toBeGreaterThan(0);
    initialiseAgain(module, shimmed, 1);
    expect(module.C_GetSlotList(true).length).toBeGreaterThan(0);
    finalise(module);
  });

  it('is refused where several would, with the field that helps', () => {
    faults.set('cannot-lock');
    expect(() => openModule(shimmed, 2)).toThrow(
      expect.objectContaining({ code: 'TOKEN_UNFIT', message: expect.stringContaining('workers: 1') }),
    );
    faults.none();
    const module = openModule(shimmed, 2);
    faults.set('cannot-lock'); // at its second start, as some are
    expect(() => initialiseAgain(module, shimmed, 2)).toThrow(expect.objectContaining({ code: 'TOKEN_UNFIT' }));
  });
});

describe('the environment of a module', () => {
  afterEach(() => {
    delete process.env.BKV_TEST_ENVIRONMENT;
  });
  const profile = { environment: { BKV_TEST_ENVIRONMENT: 'of the profile' } };

  it('is that of its profile', () => {
    inModule({ ...location, profile }, () => expect(process.env.BKV_TEST_ENVIRONMENT).toBe('of the profile'));
  });

  it('yields to what is set', () => {
    process.env.BKV_TEST_ENVIRONMENT = 'of the host';
    setEnvironment(profile);
    expect(process.env.BKV_TEST_ENVIRONMENT).toBe('of the host');
  });
});

it('of slots, every bit counts', () => {
  const slot = Buffer.from('0100000000000080', 'hex');
  expect(slotNumber(slot)).toBe(0x8000000000000001n);
});
