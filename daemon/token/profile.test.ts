import { describe, expect, it } from 'vitest';
import { softHsmProfile } from '../../test/harness/test-token.ts';
import { loadProfile, modulePath, parseProfile } from './profile.ts';

const profile = softHsmProfile();
const changed = (changes: object): string => JSON.stringify({ ...profile, ...changes }); // JSON is YAML

describe('a vendor profile', () => {
  it('says of SoftHSM2 what was found out about it', () => {
    expect(profile).toMatchObject({
      vendor: 'softhsm2',
      keystore: 'host-blob',
      readout: { way: 'read' },
      verify: 'token',
      hmac: { keyType: 'generic-secret', generate: 0x350 },
      allowedMechanisms: true,
      workers: 1,
    });
    expect(parseProfile(changed({}), 'test')).toEqual(profile);
  });

  it.each([
    ['an unknown field', { enclave: true }, /enclave/],
    ['a strategy nobody wrote', { readout: { way: 'by-post' } }, /readout/],
    ['a readout that does not name its mechanisms', { readout: { way: 'wrap-decrypt', iv: 'zero' } }, /readout.*wrap/s],
    ['a derived value that may encrypt', { deriveTemplate: { send: ['class', 'encrypt'] } }, /deriveTemplate/],
    ['a mechanism of more than 32 bits', { hmac: { keyType: 'generic-secret', generate: 2 ** 32 } }, /hmac/],
    ['no workers', { workers: 0 }, /workers/],
    ['a relative module path', { modulePaths: ['lib.so'] }, /modulePaths/],
  ])('is refused with %s, by name', (_, changes, message) => {
    expect(() => parseProfile(changed(changes), 'test')).toThrow(message);
    expect(() => parseProfile(changed(changes), 'test')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });

  it('is refused when it is no YAML, or not there', () => {
    expect(() => parseProfile('{', 'test')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    expect(() => loadProfile('/nowhere.yaml')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });

  it('yields to the module path that is configured', () => {
    expect(modulePath(profile, process.execPath)).toBe(process.execPath);
    expect(() => modulePath({ ...profile, modulePaths: ['/nowhere'] })).toThrow(expect.objectContaining({ code: 'MODULE_MISSING' }));
  });
});
