import { join } from 'node:path';
import pkcs11js from 'pkcs11js';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { SecretBytes } from '../../../primitives/secret-bytes.ts';
import { behindShim, compileFaultShim, Faults } from '../../../test/harness/fault-shim.ts';
import { PATIENCE } from '../../../test/harness/patience.ts';
import { makeTestToken, pin, tokenUnderTest } from '../../../test/harness/test-token.ts';
import { openReplica } from '../keys/replica.ts';
import type { Template } from '../pkcs11/attributes.ts';
import { CKM, plain } from '../pkcs11/mechanisms.ts';
import { findSlot, inModule } from '../pkcs11/module.ts';
import { TokenSession } from '../pkcs11/session.ts';
import type { Profile } from '../profile.ts';
import { selfTest } from '../self-test.ts';
import { Bench } from './bench.ts';
import { probeToken } from './hsm-probe.ts';
import { allProbes, type ProbeResult, runProbe } from './probes.ts';
import { suggestProfile } from './suggest-profile.ts';
import { makeTrialKeys } from './trial-keys.ts';

// A token that answers anything but a verdict, to anything but the attempt, refuses nothing.

const { location, directory } = makeTestToken(afterAll);
const { initParameters, profile, tokenLabel } = location;
Object.assign(process.env, behindShim(location.module), { FAULT_SHIM_CONTROL: join(directory, 'token.faults') });
const module = compileFaultShim(directory);
const faults = new Faults(join(directory, 'token'));
afterEach(() => faults.none());

const isNss = tokenUnderTest.startsWith('nss');
const failsWith = (code: string) => expect.objectContaining({ name: 'VaultError', code });

/** The attempts whose names fit, as the probe makes them: once more, logged in and with new keys, where they could not be tried. */
function attacked(names: RegExp, changes: Partial<Profile>, ...directives: string[]): ProbeResult[] {
  const place = { ...location, module, profile: { ...profile, ...changes } };
  return inModule(place, (opened) => {
    const bench = new Bench({ module: opened, slot: findSlot(opened, tokenLabel), profile: place.profile, pin: pin(), kept: 'session' });
    faults.set(...directives);
    try {
      return allProbes.filter(({ name }) => names.test(name)).map(({ name }) => bench.run({ kind: 'attack', name }) as ProbeResult);
    } finally {
      faults.none();
      bench.close();
    }
  });
}

const outcomes = (results: readonly ProbeResult[]) => Object.fromEntries(results.map(({ name, outcome }) => [name, outcome]));

const CKA = { token: 0x1, keyType: 0x100, sensitive: 0x103 } as const;
const CKK_AES = 0x1f;
const copies = /^copy oprf/;

describe('what a token says without a login, or without its keys', () => {
  it('is no refusal: it is asked again, logged in, with new keys', () =>
    expect(outcomes(attacked(copies, {}, 'at C_CopyObject 1 log-out'))).toEqual(outcomes(attacked(copies, {}))));

  it('could not be tried, if the attempt itself ends the login each time', () => {
    const [tried] = attacked(/^copy oprf as modifiable/, {}, 'at C_CopyObject 0 log-out');
    expect(tried).toMatchObject({ outcome: 'could not be tried', answer: expect.stringMatching(/CKR 0x/) });
  });

  it.each([
    ['DEVICE_ERROR', 0x30],
    ['GENERAL_ERROR', 0x5],
    ['OPERATION_ACTIVE', 0x90],
    ['ARGUMENTS_BAD', 0x7],
  ])('%s is no refusal', (_, value) => {
    const [tried] = attacked(copies, {}, `deny ${value} C_CopyObject ${CKA.token} 0`);
    expect(tried).toMatchObject({ outcome: 'could not be tried', answer: expect.stringContaining(`0x${value.toString(16)}`) });
  });
});

describe('points that are none', () => {
  const points = /^derive with (oprf|release) and/;

  it('are refused by any failure of a token that derives with good ones before and after', () => {
    const results = attacked(points, {});
    expect(results).toHaveLength(6);
    for (const { name, outcome, required } of results) expect({ outcome, required }, name).toEqual({ outcome: 'refused', required: true });
  });

  it('are accepted by a token that gives a value for them, whatever its profile says', () => {
    const lax = attacked(points, { extractable: false, copy: false, derive: false, allowedMechanisms: false }, 'lax-points');
    for (const { name, outcome, required } of lax) expect({ outcome, required }, name).toEqual({ outcome: 'accepted', required: true });
  });

  it('could not be tried with a token that derives nothing', () => {
    for (const { name, outcome } of attacked(points, {}, 'fail 0x6 C_DeriveKey')) expect(outcome, name).toBe('could not be tried');
  });
});

describe('a preparation that is refused proves nothing', () => {
  const noImport = `deny 0xd1 C_CreateObject ${CKA.keyType} ${CKK_AES}`;
  const wraps = /^wrap (oprf|mac) to/;

  it('a host that may not import a key to wrap others with generates one', () =>
    expect(outcomes(attacked(wraps, {}, noImport))).toEqual(outcomes(attacked(wraps, {}))));

  it.runIf(isNss)('own keys that leave under such a key are found', () => {
    for (const { outcome } of attacked(wraps, {}, noImport)) expect(outcome).toBe('accepted');
  });

  it.runIf(isNss)('a derivation that is refused for showing its value is tried without', () => {
    const [tried] = attacked(/^derive with receipt/, {}, `deny 0xd1 C_DeriveKey ${CKA.sensitive} 0`);
    expect(tried?.outcome).toBe('accepted');
  });

  /** With a MAC key that is another than the vault's. */
  const withMac = (loose: Template, names: RegExp, ...directives: string[]) =>
    inModule({ ...location, module }, (opened) => {
      const slot = findSlot(opened, tokenLabel);
      const session = new TokenSession(opened, slot);
      session.login(profile.userType, pin());
      const token = makeTrialKeys(opened, slot, session, profile, 'session');
      const mac = session.generateKey(plain(CKM.AES_KEY_GEN), {
        class: pkcs11js.CKO_SECRET_KEY,
        keyType: pkcs11js.CKK_AES,
        valueLength: 32,
        token: false,
        ...loose,
      });
      faults.set(...directives);
      return outcomes(
        allProbes.filter(({ name }) => names.test(name)).map((probe) => runProbe({ ...token, keys: { ...token.keys, mac } }, probe)),
      );
    });

  it('a key that decrypts is found where there is no ECB', () => {
    const noEcb = ['deny 0x70 C_DecryptInit mechanism 0x1081', 'deny 0x70 C_EncryptInit mechanism 0x1081'];
    expect(withMac({ encrypt: true, decrypt: true }, /crypt with (mac|oprf)/, ...noEcb)).toEqual({
      'encrypt with oprf': 'refused',
      'decrypt with oprf': 'refused',
      'encrypt with mac': 'accepted',
      'decrypt with mac': 'accepted',
    });
  });

  it('a key that leaves under one mechanism only is found', () => {
    const one = [0x2109, 0x210a, 0x1085, 0x1081, 0x9].map((mechanism) => `deny 0x68 C_WrapKey mechanism ${mechanism}`);
    expect(withMac({ extractable: true }, /^wrap mac to/, ...one)).toEqual({ 'wrap mac to a key of the host': 'accepted' });
  });

  it('what a token does for no key at all is refused, and what it is not known whether it does could not be tried', () => {
    const outcome = (value: number) => attacked(/^decrypt with oprf/, {}, `fail ${value} C_DecryptInit`)[0]?.outcome;
    expect(outcome(0x70)).toBe('refused'); // MECHANISM_INVALID
    expect(outcome(0x71)).toBe('could not be tried'); // MECHANISM_PARAM_INVALID
  });
});

describe('the self-test', () => {
  const tested = (...directives: string[]) => {
    const token = openReplica({ ...location, module }, pin());
    try {
      faults.set(...directives);
      selfTest(token);
    } finally {
      faults.none();
      token.module.C_Finalize();
    }
  };

  it('passes this token', () => expect(() => tested()).not.toThrow());

  it.each([
    ['GENERAL_ERROR', 0x5],
    ['OBJECT_HANDLE_INVALID of a key that is there', 0x82],
  ])('takes %s for no refusal: the token is not fit to serve', (_, value) =>
    expect(() => tested(`fail ${value} C_SetAttributeValue`)).toThrow(failsWith('TOKEN_UNFIT')),
  );

  it('does not pass a token that is lax with points', () => expect(() => tested('lax-points')).toThrow(failsWith('TOKEN_UNFIT')));

  it.each([
    ['DEVICE_ERROR', 'fail 0x30 C_SetAttributeValue'],
    ['the loss of the login', 'at C_SetAttributeValue 1 log-out'],
  ])('takes %s for a lost token', (_, directive) => expect(() => tested(directive)).toThrow(failsWith('TOKEN_UNAVAILABLE')));
});

describe('the PIN', () => {
  const wrong = () => new SecretBytes(Buffer.from('notthePI'));
  const label = tokenLabel;
  const profiles = ['one', 'two', 'three'].map(
    (vendor): Profile => ({ ...profile, vendor, recognise: { manufacturer: '^$', model: '^$' } }),
  );

  async function loginsOf(call: () => Promise<unknown>): Promise<number> {
    const before = faults.calls('C_Login');
    await call();
    return faults.calls('C_Login') - before;
  }

  it('is tried once where it is wrong', async () => {
    const probe = () =>
      expect(probeToken({ module, initParameters, profile, label, pin: wrong() })).rejects.toThrow(failsWith('PIN_REFUSED'));
    expect(await loginsOf(probe)).toBe(1);
    const suggest = () =>
      expect(suggestProfile({ module, directory, label, pin: wrong() }, profiles)).rejects.toThrow(failsWith('PIN_REFUSED'));
    expect(await loginsOf(suggest)).toBe(1);
  });

  it.each([
    ['GENERAL_ERROR', 'PIN_REFUSED', 0x5],
    ['a code of the vendor’s own', 'PIN_REFUSED', 0x80000009],
    ['DEVICE_ERROR', 'TOKEN_UNAVAILABLE', 0x30],
  ])('is tried once where the token answers %s', async (_, code, value) => {
    faults.set(`fail ${value} C_Login`);
    const suggest = () => expect(suggestProfile({ module, directory, label, pin: pin() }, profiles)).rejects.toThrow(failsWith(code));
    expect(await loginsOf(suggest)).toBe(1);
  });

  it('never stands among the arguments, or in the environment, of the probe’s processes', async () => {
    const child = await import('node:child_process');
    faults.set('at C_Login 1 hang');
    const probing = probeToken({ module, initParameters, profile, label, pin: pin(), patience: PATIENCE.timeout }).catch(() => {});
    await expect.poll(() => faults.calls('C_Login'), PATIENCE).toBeGreaterThan(0);
    const shown = child.execFileSync('ps', ['axeww', '-o', 'args'], { encoding: 'utf8', maxBuffer: 1 << 26 });
    expect(shown).toMatch(/probe\/child\.js/);
    expect(shown.split('\n').filter((line) => line.includes('child.js') && line.includes('user1234'))).toEqual([]);
    faults.none();
    await probing;
  });
});

it('a module that does not initialise is named, with what it answers', async () => {
  faults.set('fail 0x7 C_Initialize');
  const answer = expect.objectContaining({ code: 'TOKEN_FAULT', message: expect.stringContaining('C_Initialize answered CKR 0x7') });
  await expect(probeToken({ module, initParameters, profile, label: tokenLabel, pin: pin() })).rejects.toThrow(answer);
});

it('a module that dies when it is started is named, and so is what it may want', async () => {
  faults.set('at C_Initialize 0 crash');
  const answer = expect.objectContaining({ code: 'TOKEN_FAULT', message: expect.stringMatching(/SIGSEGV.*initParameters/) });
  await expect(probeToken({ module, initParameters, profile, label: tokenLabel, pin: pin() })).rejects.toThrow(answer);
});
