import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { SecretBytes } from '../../../primitives/secret-bytes.ts';
import { behindShim, callsTo, compileFaultShim, Faults } from '../../../test/harness/fault-shim.ts';
import { initToken } from '../keys/init-token.ts';
import { openReplica } from '../keys/replica.ts';
import { kek } from '../keys/templates.ts';
import type { Template } from '../pkcs11/attributes.ts';
import { inspectModule } from '../pkcs11/inspect.ts';
import { CKM, plain } from '../pkcs11/mechanisms.ts';
import { findSlot, openModule } from '../pkcs11/module.ts';
import { TokenSession } from '../pkcs11/session.ts';
import type { Profile } from '../profile.ts';
import { selfTest } from '../self-test.ts';
import { makeTestToken, pin, soPin, tokenUnderTest } from '../testing.ts';
import { type ProbeReport, probeToken } from './hsm-probe.ts';
import { allProbes, runProbe } from './probes.ts';
import { suggestProfile } from './suggest-profile.ts';
import { makeTrialKeys } from './trial-keys.ts';

// A token that answers anything but a verdict, to anything but the attempt, refuses nothing.

const { location, directory } = makeTestToken(afterAll);
const { initParameters, profile, tokenLabel } = location;
Object.assign(process.env, behindShim(location.module), { FAULT_SHIM_CONTROL: join(directory, 'token.faults') });
const module = compileFaultShim(directory);
const faults = new Faults(join(directory, 'token'));
afterEach(() => faults.none());

const isSoftHsm = tokenUnderTest.startsWith('softhsm2');
const failsWith = (code: string) => expect.objectContaining({ name: 'VaultError', code });

function probed(changes: Partial<Profile>, ...directives: string[]): ProbeReport {
  faults.set(...directives);
  return probeToken({ module, initParameters, profile: { ...profile, ...changes }, label: tokenLabel, pin: pin() });
}

const judged = ({ verdict, because, risks }: ProbeReport) => ({ verdict, because, risks });

const CKA = { token: 0x1, keyType: 0x100, sensitive: 0x103 } as const;
const CKK_AES = 0x1f;

describe('what a token says without a login, or without its keys', () => {
  it('is no refusal: it is asked again, logged in, with new keys', () =>
    expect(judged(probed({ trusted: 'none' }, 'at C_CopyObject 1 log-out'))).toEqual(judged(probed({ trusted: 'none' }))));

  it('makes it unfit, if the attempt itself ends the login each time', () => {
    const { verdict, because } = probed({ copy: true }, 'at C_CopyObject 0 log-out');
    expect(verdict).toBe('not fit');
    // NSS softokn makes public copies of private keys for anybody.
    expect(because).toContainEqual(expect.stringMatching(/nothing shows.*copy is no looser.*not be tried.*kek-oprf with decrypt on/));
  });

  it.each([
    ['DEVICE_ERROR', 0x30],
    ['GENERAL_ERROR', 0x5],
    ['OPERATION_ACTIVE', 0x90],
    ['ARGUMENTS_BAD', 0x7],
  ])('%s is no refusal', (name, value) => {
    const { verdict, because } = probed({ copy: true }, `deny ${value} C_CopyObject ${CKA.token} 0`);
    expect({ verdict, because }).toEqual({ verdict: 'not fit', because: [expect.stringMatching(/copy is no looser.*not be tried/)] });
    expect(because[0], name).toContain(`0x${value.toString(16)}`);
  });

  it('leaves a risk, where the profile does not promise the rule', () => {
    const { verdict, risks } = probed({ copy: false }, `deny 0x30 C_CopyObject ${CKA.token} 0`);
    expect({ verdict, risks }).toEqual({
      verdict: 'fit with risks',
      risks: expect.arrayContaining([expect.stringMatching(/^copy: could not be tried/)]),
    });
  });
});

describe('a preparation that is refused proves nothing', () => {
  const noImport = `deny 0xd1 C_CreateObject ${CKA.keyType} ${CKK_AES}`;

  it('a host that may not import a key to wrap others with generates one', () => {
    const asSaid = judged(probed({ trusted: 'none' }));
    expect(asSaid.risks).toContainEqual(expect.stringMatching(/^trusted/));
    expect(judged(probed({ trusted: 'none' }, noImport))).toEqual(asSaid);
  });

  it.runIf(!isSoftHsm)('own keys that leave under such a key are found', () => {
    const { verdict, because } = probed({ extractable: true }, noImport);
    expect({ verdict, because }).toEqual({ verdict: 'not fit', because: [expect.stringMatching(/EXTRACTABLE is wrapped.*kek-oprf/)] });
  });

  it.runIf(!isSoftHsm)('a derivation that is refused for showing its value is tried without', () => {
    const report = probed({ derive: true, rawEcdh: 'wrap-and-decrypt' }, `deny 0xd1 C_DeriveKey ${CKA.sensitive} 0`);
    expect(report.because).toEqual([expect.stringMatching(/without DERIVE.*derive with the receipt key/)]);
  });

  const answers = (loose: Template, probes: RegExp, ...directives: string[]) => {
    const opened = openModule(module, initParameters);
    try {
      const slot = findSlot(opened, tokenLabel);
      const session = new TokenSession(opened, slot);
      session.login(profile.userType, pin());
      const without: Profile = { ...profile, allowedMechanisms: false, unwrapTemplate: false, trusted: 'none' };
      const token = makeTrialKeys(opened, slot, session, without);
      const key = session.generateKey(plain(CKM.AES_KEY_GEN), { ...kek('release', without), token: false, ...loose });
      const keys = { ...token.keys, 'kek-release': key };
      faults.set(...directives);
      const results = allProbes.filter(({ name }) => probes.test(name)).map((probe) => runProbe({ ...token, keys }, probe));
      return Object.fromEntries(results.map(({ name, outcome }) => [name, outcome]));
    } finally {
      faults.none();
      opened.C_Finalize();
    }
  };

  it('a KEK that decrypts is found where there is no ECB', () => {
    const noEcb = ['deny 0x70 C_DecryptInit mechanism 0x1081', 'deny 0x70 C_EncryptInit mechanism 0x1081'];
    expect(answers({ encrypt: true, decrypt: true }, /crypt with kek-(auth|release)/, ...noEcb)).toEqual({
      'decrypt with kek-auth': 'refused',
      'encrypt with kek-auth': 'refused',
      'decrypt with kek-release': 'accepted',
      'encrypt with kek-release': 'accepted',
    });
  });

  it('where there is no cipher at all, whether a KEK decrypts could not be tried', () =>
    expect(answers({}, /^decrypt with kek-auth/, 'fail 0x70 C_DecryptInit')).toEqual({ 'decrypt with kek-auth': 'could not be tried' }));

  it('a KEK that leaves under one mechanism only is found', () => {
    const { ecPrivateKey } = profile.wrap;
    expect(answers({ extractable: true }, /^wrap kek-release to/, `deny 0x68 C_WrapKey mechanism ${ecPrivateKey}`)).toEqual({
      'wrap kek-release to a key of the host': 'accepted',
    });
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

  it.each([
    ['DEVICE_ERROR', 'fail 0x30 C_SetAttributeValue'],
    ['the loss of the login', 'at C_SetAttributeValue 1 log-out'],
  ])('takes %s for a lost token', (_, directive) => expect(() => tested(directive)).toThrow(failsWith('TOKEN_UNAVAILABLE')));
});

it.runIf(isSoftHsm)('what is left behind makes a token unfit, whoever left it', () => {
  const { verdict, because, objects } = probed({}, 'at C_CopyObject 1 litter');
  expect(objects.after).toBe(objects.before + 1);
  expect({ verdict, because }).toEqual({ verdict: 'not fit', because: [expect.stringMatching(/objects/)] });
});

describe('the PIN', () => {
  const wrong = () => new SecretBytes(Buffer.from('not the PIN'));
  const label = tokenLabel;
  const profiles = ['one', 'two', 'three'].map(
    (vendor): Profile => ({ ...profile, vendor, recognise: { manufacturer: '^$', model: '^$' } }),
  );

  function loginsOf(call: () => unknown): number {
    const before = callsTo(module)('C_Login');
    call();
    return callsTo(module)('C_Login') - before;
  }

  it('is tried once where it is wrong', () => {
    const probe = () => probeToken({ module, initParameters, profile, label, pin: wrong() });
    expect(loginsOf(() => expect(probe).toThrow(failsWith('PIN_REFUSED')))).toBe(1);
    const suggest = () => suggestProfile({ module, directory, label, pin: wrong() }, profiles);
    expect(loginsOf(() => expect(suggest).toThrow(failsWith('PIN_REFUSED')))).toBe(1);
  });

  it.each([
    ['GENERAL_ERROR', 'PIN_REFUSED', 0x5],
    ['a code of the vendor’s own', 'PIN_REFUSED', 0x80000009],
    ['DEVICE_ERROR', 'TOKEN_UNAVAILABLE', 0x30],
  ])('is tried once where the token answers %s', (_, code, value) => {
    faults.set(`fail ${value} C_Login`);
    const suggest = () => suggestProfile({ module, directory, label, pin: pin() }, profiles);
    expect(loginsOf(() => expect(suggest).toThrow(failsWith(code)))).toBe(1);
  });

  it('that is refused is said to be, even if the module cannot be finalised then', () => {
    faults.set('fail 0x5 C_Finalize');
    expect(() => probeToken({ module, initParameters, profile, label, pin: wrong() })).toThrow(failsWith('PIN_REFUSED'));
    const init = () => initToken({ module, initParameters, initialise: profile.initialise, label, soPin: soPin(), pin: pin() });
    expect(init).toThrow(failsWith('CONFIG_INVALID')); // there is one with this label
  });
});

it('a module that does not initialise is named, with what it answers', () => {
  faults.set('fail 0x7 C_Initialize');
  const answer = expect.objectContaining({
    name: 'VaultError',
    code: 'TOKEN_FAULT',
    message: expect.stringContaining('C_Initialize answered CKR 0x7'),
  });
  expect(() => inspectModule(module, initParameters)).toThrow(answer);
  expect(() => suggestProfile({ module, directory, label: tokenLabel, pin: pin() }, [profile])).toThrow(
    expect.objectContaining({ message: expect.stringContaining('CKR 0x7') }),
  );
});
