import { execFileSync } from 'node:child_process';
import { readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { provisionReplica } from '../keys/provision.ts';
import { findSlot, openModule } from '../pkcs11/module.ts';
import { TokenSession } from '../pkcs11/session.ts';
import { loadProfile, type Profile } from '../profile.ts';
import { makeBlankToken, pin, soPin, tokenUnderTest } from '../testing.ts';
import { type ProbeReport, probeToken } from './hsm-probe.ts';
import { suggestProfile } from './suggest-profile.ts';

const { location, directory } = makeBlankToken(afterAll);
const { module, initParameters, profile, tokenLabel } = location;
const isSoftHsm = tokenUnderTest.startsWith('softhsm2');
const options = { module, initParameters, profile, label: tokenLabel, pin: pin() };
const failsWith = (code: string) => expect.objectContaining({ name: 'VaultError', code });

const expected: Record<string, { verdict: ProbeReport['verdict']; risks: string[] }> = {
  softhsm2: { verdict: 'fit', risks: [] },
  'nss-softokn': {
    verdict: 'fit with risks',
    risks: ['allowedMechanisms', 'copy', 'derive', 'extractable', 'serial', 'trusted', 'unwrapTemplate'],
  },
};

/** Everything that the PIN shows, counted by this test. */
function countObjects(): number {
  const opened = openModule(module, initParameters);
  try {
    const session = new TokenSession(opened, findSlot(opened, tokenLabel));
    session.login(profile.userType, pin());
    return session.find({}, 1000).length;
  } finally {
    opened.C_Finalize();
  }
}

const files = (): string[] => readdirSync(directory, { recursive: true }).map(String).sort();

describe('probing a token', () => {
  const report = probeToken(options);

  it('gives the verdict that this token deserves, with its risks by name', () => {
    expect(report.because).toEqual([]);
    expect({ verdict: report.verdict, risks: report.risks.map((risk) => risk.split(':')[0]).sort() }).toEqual(expected[profile.vendor]);
  });

  it('tries and times every operation of the vault', () => {
    expect(report.operations.length).toBeGreaterThanOrEqual(11);
    for (const { name, works, micros, calls } of report.operations) {
      expect(works, name).toBe(true);
      expect(micros, name).toBeGreaterThan(0);
      expect(calls, name).toBeGreaterThan(0);
    }
  });

  it('tries what a hostile host could, and says what it did not try', () => {
    expect(report.attacks.length).toBeGreaterThan(80);
    expect(report.attacks.filter(({ stoppedBy, outcome }) => stoppedBy === 'attributes' && outcome !== 'refused')).toEqual([]);
    expect(report.attacks.filter(({ outcome }) => outcome === 'could not be tried')).toEqual([]);
    expect(report.notTried.length).toBeGreaterThan(1);
  });

  it('leaves nothing behind, on an empty token or one in use', () => {
    expect(countObjects()).toBe(0);
    expect(report.objects).toEqual({ before: 0, after: 0 });
    provisionReplica({ ...location, pin: pin(), soPin: soPin() });
    const [objects, listed] = [countObjects(), files()];
    expect(objects).toBeGreaterThanOrEqual(9); // six keys, two public ones, the boot record
    expect(probeToken(options).objects).toEqual({ before: objects, after: objects });
    expect(countObjects()).toBe(objects);
    expect(files()).toEqual(listed);
  });

  it('finds the token by itself where there is one, and says which there are where none fits', () => {
    expect(probeToken({ ...options, label: undefined }).token.label).toBe(tokenLabel);
    expect(() => probeToken({ ...options, slot: 4711 })).toThrow(
      expect.objectContaining({ message: expect.stringMatching(/test \(slot/) }),
    );
  });
});

describe('a token that breaks a rule of its profile', () => {
  it.runIf(profile.vendor === 'nss-softokn')('is not fit, since the daemon would refuse it, and a copy of the profile is named', () => {
    const { verdict, because } = probeToken({ ...options, profile: { ...profile, copy: true } });
    expect(verdict).toBe('not fit');
    expect(because).toEqual([expect.stringMatching(/copy is no looser.*copy: false.*copy kek-oprf with decrypt on/)]);
  });
});

describe('without a profile', () => {
  const profiles = ['thales-luna7', 'nss-softokn', 'utimaco', 'softhsm2'].map((name) =>
    loadProfile(fileURLToPath(new URL(`../../../hsm-config/${name}.yaml`, import.meta.url))),
  );
  const nameless = profiles.map((known): Profile => ({ ...known, recognise: { manufacturer: '^$', model: '^$' } }));
  const asked = { module, directory, label: tokenLabel, pin: pin() };

  it('one is suggested by what the token says of itself', () => {
    const { report, by } = suggestProfile(asked, profiles);
    expect({ by, profile: report.profile, verdict: report.verdict }).toEqual({
      by: 'name',
      profile: profile.vendor,
      verdict: expected[profile.vendor]?.verdict,
    });
  });

  it('one is suggested by trying all, if none knows the token', () => {
    const { report, by } = suggestProfile(asked, nameless);
    expect({ by, profile: report.profile }).toEqual({ by: 'trying', profile: profile.vendor });
  });
});

describe.runIf(isSoftHsm)('a token that lacks something', () => {
  const control = join(directory, 'faults');
  const shim = join(directory, 'fault-shim.so');
  const source = fileURLToPath(new URL('../../../softhsm/fault-shim.c', import.meta.url));
  execFileSync('cc', ['-std=gnu11', '-shared', '-fPIC', '-o', shim, source, '-ldl', '-lpthread']);
  process.env.FAULT_SHIM_MODULE = module;
  process.env.FAULT_SHIM_CONTROL = control;
  afterEach(() => rmSync(control, { force: true }));

  const probedWith = (faults: string): ProbeReport => {
    writeFileSync(`${control}.new`, faults);
    renameSync(`${control}.new`, control);
    return probeToken({ ...options, module: shim });
  };

  it('is as fit as the one behind it, if it lacks nothing', () => expect(probedWith('').verdict).toBe('fit'));

  it('is not fit without CKD_NULL, and the report says why', () => {
    const report = probedWith('deny-kdf 1\n');
    expect(report.verdict).toBe('not fit');
    expect(report.because).toContainEqual(
      expect.stringMatching(/“raw ECDH” failed \(C_DeriveKey answered CKR 0x71\): there is no OPRF.*CKD_NULL/),
    );
    expect(report.operations.find(({ name }) => name === 'sign a receipt')?.works).toBe(true);
    expect(report.attacks).toEqual([]); // what cannot work refuses everything, which proves nothing
    expect(report.objects).toMatchObject({ after: report.objects.before });
  });

  it('is not fit without a mechanism that the profile names', () => {
    const { verdict, because } = probedWith(`hide-mechanism ${profile.wrap.secret}\n`);
    expect(verdict).toBe('not fit');
    expect(because).toContainEqual('it does not list the mechanism for wrapping of secrets (0x2109)');
  });

  it('is not fit if it makes no keys', () => {
    const { verdict, because } = probedWith('fail 0x70 C_GenerateKey\n');
    expect({ verdict, because }).toEqual({
      verdict: 'not fit',
      because: [expect.stringMatching(/does not make the vault’s keys.*C_GenerateKey answered CKR 0x70/)],
    });
  });

  it('is not judged while it is gone', () =>
    expect(() => probedWith('fail 0x32 C_GenerateKeyPair C_FindObjectsInit\n')).toThrow(failsWith('TOKEN_UNAVAILABLE')));
});
