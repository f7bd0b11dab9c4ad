import { describe, expect, it } from 'vitest';
import { loadProfile, modulePath, parseProfile } from './profile.ts';
import { softHsmProfile } from './testing.ts';

const profile = softHsmProfile();
const changed = (changes: object): string => JSON.stringify({ ...profile, ...changes }); // JSON is YAML

describe('a vendor profile', () => {
  it('says of SoftHSM2 what was found out about it', () => {
    expect(profile).toMatchObject({
      vendor: 'softhsm2',
      wrap: { ecPrivateKey: 0x210a, secret: 0x2109 },
      sessionSuite: 'A',
      trusted: 'so-copy',
      unwrapTemplate: true,
      allowedMechanisms: true,
      workers: 1,
    });
    expect(parseProfile(changed({}), 'test')).toEqual(profile);
  });

  it.each([
    ['an unknown field', { enclave: true }, /enclave/],
    ['a strategy nobody wrote', { rawEcdh: 'by-post' }, /rawEcdh/],
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
