import { readdirSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { profilePath } from '../../../primitives/package-root.ts';
import { behindShim, compileFaultShim, Faults } from '../../../test/harness/fault-shim.ts';
import { makeBlankToken, pin, tokenUnderTest } from '../../../test/harness/test-token.ts';
import { readKeys } from '../keys/key-record.ts';
import { provisionReplica } from '../keys/provision.ts';
import { openReplica } from '../keys/replica.ts';
import { finalise, findSlot, inModule, slotNumber } from '../pkcs11/module.ts';
import { TokenSession } from '../pkcs11/session.ts';
import { loadProfile, type Profile } from '../profile.ts';
import { type ProbeReport, probeToken } from './hsm-probe.ts';
import { suggestProfile } from './suggest-profile.ts';
import { makeTokenObjects } from './trial-keys.ts';

// Its children run the compiled program: build first.

const MINUTES = 120_000; // a probe starts a dozen processes, on a machine that does other things too
/** After which a step hangs. */
const PATIENCE = 20_000;
const { location, directory } = makeBlankToken(afterAll);
const { module, initParameters, profile, tokenLabel } = location;
const options = { module, initParameters, profile, label: tokenLabel, pin: pin() };
const failsWith = (code: string) => expect.objectContaining({ name: 'VaultError', code });

const expected: Record<string, { verdict: ProbeReport['verdict']; risks: string[] }> = {
  softhsm2: { verdict: 'fit', risks: [] },
  'p11-kit-proxy': { verdict: 'fit', risks: [] },
  opencryptoki: { verdict: 'fit with risks', risks: ['serial'] },
  'nss-softokn': { verdict: 'fit with risks', risks: ['allowedMechanisms', 'copy', 'derive', 'extractable', 'serial'] },
};

/** Works in a session of this process that is logged in. */
const inSession = <T>(work: (session: TokenSession) => T): T =>
  inModule(location, (opened) => {
    const session = new TokenSession(opened, findSlot(opened, tokenLabel));
    session.login(profile.userType, pin());
    return work(session);
  });

const countObjects = (): number => inSession((session) => session.find({}, 1000).length);
const files = (): string[] => readdirSync(directory, { recursive: true }).map(String).sort();

describe('probing a token', () => {
  let report: ProbeReport;
  beforeAll(async () => {
    report = await probeToken(options);
  }, 3 * MINUTES);

  it('gives the verdict that this token deserves, with its risks by name', () => {
    expect(report.because).toEqual([]);
    expect({ verdict: report.verdict, risks: report.risks.map((risk) => risk.split(':')[0]).sort() }).toEqual(expected[profile.vendor]);
  });

  it('tries and times every operation of the vault, and serves with the token objects themselves', () => {
    expect(report.operations.length).toBeGreaterThanOrEqual(10);
    expect(report.operations.filter(({ works }) => !works)).toEqual([]);
    expect(report.operations.at(-1)?.name).toBe('serve with token objects');
    const byHost = profile.verify === 'host' ? 'verify a proof' : undefined;
    for (const { name, micros, calls } of report.operations.slice(0, -1).filter(({ name }) => name !== byHost)) {
      expect(micros, name).toBeGreaterThan(0);
      expect(calls, name).toBeGreaterThan(0);
    }
  });

  it('tries what a hostile host could with each of the four keys, and points that are none', () => {
    expect(report.attacks.length).toBeGreaterThanOrEqual(60);
    const always = report.attacks.filter(({ stoppedBy }) => ['attributes', 'points'].includes(stoppedBy));
    expect(always.filter(({ outcome }) => outcome !== 'refused')).toEqual([]);
    expect(report.attacks.filter(({ outcome }) => outcome === 'could not be tried')).toEqual([]);
  });

  it('says what destroying a set takes, where keys are files on the host', () =>
    expect(report.notes).toContainEqual(expect.stringMatching(/every copy of those files/)));

  it(
    'leaves nothing behind, on an empty token or one in use, nor what a probe left that was cut off',
    async () => {
      expect(countObjects()).toBe(0);
      expect(report.objects).toEqual({ before: 0, after: 0, swept: 0 });
      provisionReplica({ ...location, pin: pin() });
      const [objects, listed] = [countObjects(), files()];
      expect(objects).toBe(8); // four keys, three public halves, the boot record
      inSession((session) => makeTokenObjects(session, profile));
      expect(countObjects()).toBe(16);
      const again = await probeToken(options);
      expect({ because: again.because, objects: again.objects }).toEqual({
        because: [],
        objects: { before: objects, after: objects, swept: 8 },
      });
      expect(countObjects()).toBe(objects);
      expect(files()).toHaveLength(listed.length);
    },
    3 * MINUTES,
  );

  it(
    'says where several tokens, or none, fit which there are',
    async () => {
      await expect(probeToken({ ...options, slot: 0xffff_ffff_ffff_fff0n })).rejects.toThrow(
        expect.objectContaining({ code: 'TOKEN_MISSING', message: expect.stringMatching(/test \(slot/) }),
      );
    },
    MINUTES,
  );
});

describe('the evidence, read back', () => {
  it('says of all four keys that they are sensitive, never were extractable, and cannot be changed', () => {
    const token = openReplica(location, pin());
    try {
      const keys = readKeys(token);
      expect(keys.map(({ name }) => name).sort()).toEqual(['mac', 'oprf', 'receipt', 'release']);
      for (const { name, attributes } of keys)
        expect(attributes, name).toMatchObject({
          sensitive: true,
          alwaysSensitive: true,
          extractable: false,
          neverExtractable: true,
          modifiable: false,
        });
    } finally {
      finalise(token.module);
    }
  });
});

describe('without a profile', () => {
  const vendor = profile.vendor === 'p11-kit-proxy' ? 'softhsm2' : profile.vendor; // a proxy passes on what the token says
  const profiles = ['thales-luna7', 'ibm-ep11', vendor].map((name) => loadProfile(profilePath(name)));
  const asked = { module, directory, label: tokenLabel, pin: pin() };

  it(
    'one is suggested by what the token says of itself',
    async () => {
      const { report, by } = await suggestProfile(asked, profiles);
      expect({ by, profile: report.profile, verdict: report.verdict }).toEqual({
        by: 'name',
        profile: vendor,
        verdict: expected[vendor]?.verdict,
      });
    },
    3 * MINUTES,
  );

  it.runIf(tokenUnderTest === 'nss-softokn')(
    'one is suggested by trying, if none knows the token',
    async () => {
      const nameless = profiles.slice(1).map((known): Profile => ({ ...known, recognise: { manufacturer: '^$', model: '^$' } }));
      const { report, by } = await suggestProfile(asked, nameless);
      expect({ by, profile: report.profile }).toEqual({ by: 'trying', profile: vendor });
    },
    3 * MINUTES,
  );
});

describe.runIf(tokenUnderTest === 'softhsm2')('a token that lacks something', () => {
  const faults = new Faults(process.env.SOFTHSM2_CONF as string);
  Object.assign(process.env, behindShim(module));
  const shim = compileFaultShim(directory);
  afterEach(() => faults.none());

  const probedWith = (changes: Partial<Profile>, ...directives: string[]): Promise<ProbeReport> => {
    faults.set(...directives);
    const patience = directives.some((directive) => directive.endsWith('hang')) ? PATIENCE : MINUTES; // the machine may do other things
    return probeToken({ ...options, module: shim, profile: { ...profile, ...changes }, patience });
  };
  const operation = ({ operations }: ProbeReport, name: string) => operations.find((one) => one.name === name);

  it(
    'is not fit without CKD_NULL, and the report says why',
    async () => {
      const report = await probedWith({}, 'deny-kdf 1');
      expect(report.verdict).toBe('not fit');
      expect(report.because).toContainEqual(
        expect.stringMatching(/“raw ECDH” failed.*CKR 0x71.*refuses a mechanism.*CKD_NULL.*Fields of the profile: readout/),
      );
      expect(operation(report, 'sign a receipt')?.works).toBe(true);
      expect(report.attacks).toEqual([]); // what cannot work refuses everything, which proves nothing
      expect(report.objects).toEqual({ before: report.objects.before, after: report.objects.before, swept: 0 });
    },
    MINUTES,
  );

  it(
    'is told what of a call it refuses, an attribute, and which field would help',
    async () => {
      const { because, operations } = await probedWith({}, 'deny 0x12 C_GenerateKey 0x171 0', 'deny 0x12 C_GenerateKeyPair 0x171 0');
      expect(because).toEqual([expect.stringMatching(/without copyable \(neverSend\.privateKey\)/)]);
      expect(operations[0]).toMatchObject({ works: false, refused: 'attribute' });
    },
    MINUTES,
  );

  it(
    'is not fit without a mechanism that it has to list',
    async () => {
      const { verdict, because } = await probedWith({}, 'hide-mechanism 0x251');
      expect(verdict).toBe('not fit');
      expect(because).toContainEqual(expect.stringMatching(/does not list the mechanism for SHA256_HMAC \(0x251\)/));
    },
    MINUTES,
  );

  it(
    'that gives wrong x, mostly of no point, is not fit, and has a row for it',
    async () => {
      const report = await probedWith({}, 'garble');
      expect(report.verdict).toBe('not fit');
      // Which of these it says is chance: about half of such x are another point's.
      const wrong = expect.stringMatching(/no point|does not fit|not the one that software computes/);
      for (const name of ['raw ECDH', 'enrol, evaluate and release one record'])
        expect(operation(report, name)).toMatchObject({ works: false, why: wrong });
      expect(operation(report, 'sign a receipt')?.works).toBe(true);
    },
    MINUTES,
  );

  it(
    'that dies in one step has a row for it, and is tried in all others',
    async () => {
      const report = await probedWith({}, 'at C_VerifyInit 0 crash');
      expect(report.verdict).toBe('not fit');
      expect(operation(report, 'make and verify a MAC')).toMatchObject({ works: false, why: expect.stringMatching(/SIGSEGV/) });
      expect(operation(report, 'raw ECDH')?.works).toBe(true);
      expect(operation(report, 'keep who served last')?.works).toBe(true);
      expect(report.objects).toEqual({ before: report.objects.before, after: report.objects.before, swept: 0 });
    },
    MINUTES,
  );

  it(
    'that hangs in one step has a row for it',
    async () => {
      const report = await probedWith({}, 'at C_SignInit 0 hang');
      expect(operation(report, 'sign a receipt')).toMatchObject({
        works: false,
        why: `the module does not answer within ${PATIENCE / 1000} s`,
      });
      expect(operation(report, 'raw ECDH')?.works).toBe(true);
    },
    3 * MINUTES,
  );

  it(
    'that dies when it is attacked is not fit, and the attack could not be tried',
    async () => {
      const { verdict, because, attacks } = await probedWith({}, 'at C_CopyObject 0 crash');
      expect(verdict).toBe('not fit');
      expect(because).toEqual([
        expect.stringMatching(/serve with token objects.*SIGSEGV/),
        expect.stringMatching(/nothing shows.*is not copied.*SIGSEGV/),
      ]);
      expect(attacks.filter(({ outcome }) => outcome === 'refused').length).toBeGreaterThan(40);
    },
    3 * MINUTES,
  );

  it(
    'that keeps token objects otherwise than those of a session is not fit, since the daemon would end at its start',
    async () => {
      const report = await probedWith({}, 'misread 0x170'); // CKA_MODIFIABLE
      expect(report.operations.filter(({ works }) => !works).map(({ name }) => name)).toEqual(['serve with token objects']);
      expect(report.because).toEqual([expect.stringMatching(/serve with token objects.*modifiable/)]);
    },
    MINUTES,
  );

  it(
    'that makes token objects alone is tried with those, and they are destroyed',
    async () => {
      const only = ['C_GenerateKeyPair', 'C_GenerateKey'].map((call) => `deny 0x13 ${call} 0x1 0`);
      const report = await probedWith({}, ...only);
      expect(report.operations[0]).toMatchObject({ name: 'make the four keys as token objects', works: true });
      expect({ verdict: report.verdict, because: report.because }).toEqual({ verdict: 'fit', because: [] });
      expect(report.objects).toEqual({ before: report.objects.before, after: report.objects.before, swept: 0 });
    },
    5 * MINUTES,
  );

  it(
    'is not judged while it is gone',
    () => expect(probedWith({}, 'fail 0x32 C_GenerateKeyPair C_FindObjectsInit')).rejects.toThrow(failsWith('TOKEN_UNAVAILABLE')),
    MINUTES,
  );
});

it('the token is found by a slot number of 64 bits', () =>
  inModule(location, (opened) => expect(typeof slotNumber(findSlot(opened, tokenLabel))).toBe('bigint')));
