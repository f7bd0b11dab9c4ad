import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { complete } from '../../fleet/ceremony/complete.ts';
import { enforceEpoch } from '../../fleet/ceremony/enforce.ts';
import { readEvidence } from '../../fleet/ceremony/read-evidence.ts';
import { parseLogTrust } from '../../fleet/log/policy.ts';
import { leafHash, makeConsistencyProof, treeHash } from '../../fleet/log/tree.ts';
import { validityFrom } from '../../fleet/produce/authority.ts';
import { bundleSignerSubject } from '../../fleet/produce/certificates.ts';
import { countersign, signSmime, toDer } from '../../fleet/produce/cms.ts';
import { signInForce } from '../../fleet/produce/in-force.ts';
import type { TokenReading } from '../../fleet/produce/token-reading.ts';
import type { Anchors } from '../../fleet/verify/anchors.ts';
import { type Bundle, type BundlePolicy, checkBundle, verifyBundle } from '../../fleet/verify/bundle.ts';
import { type CheckCode, checkCodes } from '../../fleet/verify/check-codes.ts';
import { Checklist, refusalOf } from '../../fleet/verify/checks.ts';
import { verifyDeployment } from '../../fleet/verify/deployment.ts';
import { verifyEvidence } from '../../fleet/verify/evidence.ts';
import { encodeCanonical, hexHash } from '../../fleet/verify/files.ts';
import { publicKeysOf } from '../../fleet/verify/replica-files.ts';
import { utf8 } from '../../primitives/bytes.ts';
import { isVaultError } from '../../primitives/errors.ts';
import { encodeStatement, type Statement, type StatementDocument } from '../../protocol/statement.ts';
import { earlierAfter } from '../../protocol/terms.ts';
import { softKey, softPolicy } from '../harness/test-log.ts';
import { makeParty } from './parties.ts';
import {
  DAY,
  planDocument,
  proofOf,
  type SoftEvidence,
  type SoftWorld,
  softCeremony,
  softEnforced,
  softEvidence,
  softWorld,
  writeFiles,
} from './soft-evidence.ts';

// Each refusal has a code and a sentence of its own.

let world: SoftWorld;
let first: SoftEvidence;
let second: SoftEvidence;
let policy: BundlePolicy;

beforeAll(async () => {
  world = await softWorld();
  first = await softEvidence(world);
  second = await softEvidence(world, next(first.statement, first.directory));
  const { authorities } = world.policy.anchors as Anchors;
  const log = { ...logTrust(2), checkpointAgeMost: 7 * DAY };
  policy = { authorities, log, epochLeast: 1, operatorsLeast: 1, draining: false, remembered: undefined };
});

afterAll(() => world.remove());

/** So many of the world's cosigners. */
const logTrust = (least: number) => parseLogTrust(utf8(softPolicy(world.log, world.cosigners, least)));

const next = (before: Statement, directory: string) => ({
  plan: { epoch: before.epoch + 1, previous: `${directory}/statement.json` },
});

describe('a bundle', () => {
  const bundleOf = ({ files }: SoftEvidence): Bundle => ({
    smime: files.get('validation-bundle.txt') as Uint8Array,
    logProof: files.get('log-proof.txt') as Uint8Array,
  });
  /** A bundle whose signatures and log are right, over any statement at all. */
  const bundleOver = (statement: Uint8Array, changes: Partial<Bundle> = {}): Bundle => ({
    smime: utf8(countersign(witnessed(statement), world.operator.signer, world.now)),
    logProof: proofOf(world, world.entries.length, { entries: [...world.entries, statement] }),
    ...changes,
  });
  const witnessed = (statement: Uint8Array) => signSmime(statement, world.witness.signer, world.now);
  const changed = (change: (document: StatementDocument) => object) =>
    encodeStatement({ ...first.statement.document, ...change(structuredClone(first.statement.document)) });

  test('that is right passes, with and without a checkpoint seen before', () => {
    expect(verifyBundle(bundleOf(first), policy, world.now).statement.hash).toEqual(first.statement.hash);
    const leaves = world.entries.map(leafHash);
    const remembered = { origin: world.log.key.name, size: 1, root: treeHash(leaves.slice(0, 1)) };
    const consistency = makeConsistencyProof(1, leaves);
    const verified = verifyBundle({ ...bundleOf(second), consistency }, { ...policy, remembered }, world.now);
    expect(verified).toMatchObject({ index: 1, checkpoint: { size: 2, cosigners: ['one.example', 'two.example'] } });
  });

  test.each<[string, CheckCode, () => { bundle?: Bundle; policy?: Partial<BundlePolicy>; now?: number }]>([
    [
      'one signature missing: the operator’s',
      'signature-missing',
      () => ({ bundle: { ...bundleOf(first), smime: utf8(witnessed(first.statement.bytes)) } }),
    ],
    [
      'one signature missing: the witness’s',
      'signature-missing',
      () => ({ bundle: { ...bundleOf(first), smime: utf8(signSmime(first.statement.bytes, world.operator.signer, world.now)) } }),
    ],
    [
      'order swapped',
      'order-swapped',
      () => {
        const inner = signSmime(first.statement.bytes, world.operator.signer, world.now);
        return { bundle: { ...bundleOf(first), smime: utf8(countersign(inner, world.witness.signer, world.now)) } };
      },
    ],
    [
      'tampered statement',
      'statement-tampered',
      () => {
        const [header, body] = witnessed(first.statement.bytes).split('\n\n') as [string, string];
        const der = Buffer.from(body, 'base64');
        der[der.indexOf('"fleet":"west"') + 9] = 'v'.charCodeAt(0);
        const inner = `${header}\n\n${(der.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n`;
        return { bundle: { ...bundleOf(first), smime: utf8(countersign(inner, world.operator.signer, world.now)) } };
      },
    ],
    ['older epoch', 'statement-older', () => ({ policy: { epochLeast: 2 } })],
    ['fewer operators than demanded', 'operators-few', () => ({ policy: { operatorsLeast: 2 } })],
    [
      'not in force yet',
      'statement-not-in-force',
      () => ({ bundle: bundleOver(changed(() => ({ not_before: '2098-01-01T00:00:00Z', not_after: '2099-01-01T00:00:00Z' }))) }),
    ],
    [
      'not in force any more',
      'statement-not-in-force',
      () => ({ bundle: bundleOver(changed(() => ({ not_after: '2020-01-01T00:00:00Z' }))) }),
    ],
    ['expired certificate', 'certificate-expired', () => ({ now: world.now + 366 * DAY })],
    ['certificate from the future', 'certificate-expired', () => ({ now: world.now - 2 * DAY })],
    ['stale checkpoint', 'checkpoint-stale', () => ({ now: world.now + 8 * DAY })],
    [
      'checkpoint of another log',
      'checkpoint-signature',
      () => ({ bundle: { ...bundleOf(first), logProof: proofOf(world, 0, { log: softKey('other.example') }) } }),
    ],
    [
      'cosignatures below k',
      'cosignatures-few',
      () => ({ bundle: { ...bundleOf(first), logProof: proofOf(world, 0, { cosigners: world.cosigners.slice(1) }) } }),
    ],
    ['a proof of another entry', 'inclusion-proof', () => ({ bundle: { ...bundleOf(first), logProof: proofOf(world, 1) } })],
    ['no proof', 'proof-malformed', () => ({ bundle: { ...bundleOf(first), logProof: new Uint8Array() } })],
    [
      'forked log: the same size with another root',
      'log-forked',
      () => ({ policy: { remembered: { origin: world.log.key.name, size: 1, root: leafHash(utf8('another')) } } }),
    ],
    [
      'forked log: a larger tree that does not continue the old one',
      'log-forked',
      () => {
        const remembered = { origin: world.log.key.name, size: 1, root: leafHash(utf8('another')) };
        return {
          bundle: { ...bundleOf(second), consistency: makeConsistencyProof(1, world.entries.map(leafHash)) },
          policy: { remembered },
        };
      },
    ],
    [
      'forked log: no proof that the history is one',
      'log-forked',
      () => ({
        bundle: bundleOf(second),
        policy: { remembered: { origin: world.log.key.name, size: 1, root: treeHash(world.entries.slice(0, 1).map(leafHash)) } },
      }),
    ],
    ...[31, 33].map((length): [string, CheckCode, () => { bundle: Bundle; policy: Partial<BundlePolicy> }] => [
      `a hash of ${length} bytes in the proof that the history is one`,
      'proof-malformed',
      () => {
        const consistency = makeConsistencyProof(1, world.entries.map(leafHash)).map((hash) =>
          Uint8Array.from({ length }, (_, i) => hash[i] ?? 0),
        );
        const root = treeHash(world.entries.slice(0, 1).map(leafHash));
        return { bundle: { ...bundleOf(second), consistency }, policy: { remembered: { origin: world.log.key.name, size: 1, root } } };
      },
    ]),
    [
      'a checkpoint smaller than one seen before',
      'log-shrank',
      () => ({ policy: { remembered: { origin: world.log.key.name, size: 2, root: treeHash(world.entries.map(leafHash)) } } }),
    ],
    [
      'duplicate replica keys',
      'duplicate-key',
      () => ({
        bundle: bundleOver(
          changed(({ replicas: [one, two, three] }) => ({ replicas: [one, { ...two, receipt_key: one?.receipt_key }, three] })),
        ),
      }),
    ],
    ...(['oprf_key', 'release_key', 'receipt_key'] as const).map((key): [string, CheckCode, () => { bundle: Bundle }] => [
      `an OPRF key that is the ${key} with the other sign`,
      'duplicate-key',
      () => ({
        bundle: bundleOver(
          changed(({ replicas: [one, two, three] }) => {
            const other = key === 'oprf_key' ? three : two; // of another replica, or of its own
            return { replicas: [one, { ...two, oprf_key: negated(String(other?.[key])) }, three] };
          }),
        ),
      }),
    ]),
    [
      'a release key that is the OPRF key',
      'duplicate-key',
      () => ({
        bundle: bundleOver(
          changed(({ replicas: [one, two, three] }) => ({ replicas: [one, { ...two, release_key: two?.oprf_key }, three] })),
        ),
      }),
    ],
    [
      'duplicate token serials',
      'duplicate-serial',
      () => ({
        bundle: bundleOver(changed(({ replicas: [one, two, three] }) => ({ replicas: [one, { ...two, token: one?.token }, three] }))),
      }),
    ],
    [
      'duplicate names',
      'duplicate-name',
      () => ({
        bundle: bundleOver(changed(({ replicas: [one, two, three] }) => ({ replicas: [one, { ...two, name: one?.name }, three] }))),
      }),
    ],
    [
      't ≤ n/2',
      'threshold-not-majority',
      () => {
        const four = (replicas: StatementDocument['replicas']) => {
          const keys = publicKeysOf(second.statement.document.replicas[0] as (typeof replicas)[number]);
          const token = { ...(replicas[0] as (typeof replicas)[number]).token, serial: 'four' };
          return { ...(replicas[0] as (typeof replicas)[number]), index: 4, name: 'replica-4', ...keys, token };
        };
        return { bundle: bundleOver(changed(({ replicas }) => ({ replicas: [...replicas, four(replicas)] }))) };
      },
    ],
    ['t = n', 'threshold-of-all', () => ({ bundle: bundleOver(changed(() => ({ threshold: 3 }))) })],
    [
      'an earlier epoch whose replicas have other keys',
      'epoch-unservable',
      () => ({
        bundle: bundleOver(
          changed(() => ({ epoch: 2, earlier: earlierAfter(second.statement.document, []).map((one) => ({ ...one, epoch: 1 })) })),
        ),
      }),
    ],
    [
      'an index that was another replica’s',
      'index-reused',
      () => ({
        bundle: bundleOver(
          changed((document) => {
            const [now] = earlierAfter(document, []) as [StatementDocument['earlier'][number]];
            const four = { index: 4, receipt_key: second.statement.document.replicas[0]?.receipt_key as string };
            const left = { ...now, epoch: 2, replicas: [...now.replicas.slice(0, 2), four] };
            return { epoch: 3, earlier: [now, left] };
          }),
        ),
      }),
    ],
    ['a statement that is none', 'statement-malformed', () => ({ bundle: bundleOver(utf8('{"type":"something else"}')) })],
    [
      'a statement not in canonical form',
      'statement-malformed',
      () => ({ bundle: bundleOver(utf8(`{ ${first.statement.document ? new TextDecoder().decode(first.statement.bytes).slice(1) : ''}`)) }),
    ],
  ])('%s', (_what, code, make) => {
    const { bundle = bundleOf(first), policy: changes = {}, now = world.now } = make();
    expectRefusal(code, () => verifyBundle(bundle, { ...policy, ...changes }, now));
  });

  test('of a log that was called otherwise before', () => {
    const remembered = { origin: 'old.example/log', size: 1, root: leafHash(utf8('another')) };
    expect(() => verifyBundle(bundleOf(first), { ...policy, remembered }, world.now)).toThrow(
      `The log is called ${world.log.key.name}, and was old.example/log.`,
    );
  });

  test.each([
    [0, 'The log signed its checkpoint lately, and others may have', 'demanded: none; found: 2.'],
    [2, 'The log signed its checkpoint lately, and enough others did', 'demanded: 2 of (one.example, two.example); found: 2.'],
  ])('says how many cosignatures were demanded and found: %i', (least, title, numbers) => {
    const list = new Checklist();
    checkBundle(list, bundleOf(first), { ...policy, log: { ...policy.log, ...logTrust(least) } }, world.now);
    const check = list.checks.find(({ name }) => name === 'checkpoint');
    expect(check).toMatchObject({ title, detail: expect.stringContaining(numbers) });
  });

  test('a certificate of another authority', async () => {
    const stranger = await makeParty('stranger', validityFrom(world.now));
    const smime = utf8(countersign(witnessed(first.statement.bytes), stranger.signer, world.now));
    expectRefusal('certificate-untrusted', () => verifyBundle({ ...bundleOf(first), smime }, policy, world.now));
  });

  test('a certificate that ran out, of an authority that did not', async () => {
    const { authority, signer } = world.witness;
    const past = { notBefore: new Date(world.now - 9 * DAY), notAfter: new Date(world.now - DAY) };
    const certificate = await authority.certify(bundleSignerSubject('witness'), signer.key.publicKey, past);
    const inner = signSmime(first.statement.bytes, { ...signer, certificate }, world.now);
    const smime = utf8(countersign(inner, world.operator.signer, world.now));
    expectRefusal('certificate-expired', () => verifyBundle({ ...bundleOf(first), smime }, policy, world.now));
  });
});

describe('evidence', () => {
  const judge = (files: ReadonlyMap<string, Uint8Array>, now = world.now) => verifyEvidence(files, world.policy, now);
  const codes = (files: ReadonlyMap<string, Uint8Array>, now?: number) => judge(files, now).checks.flatMap(({ code }) => code ?? []);

  test('that is right is trusted against anchors from elsewhere, and else only consistent', () => {
    for (const { files } of [first, second]) {
      const { checks, verdict } = judge(files);
      expect(checks.filter(({ ok }) => !ok)).toEqual([]);
      expect(verdict).toBe('trusted');
    }
    expect(verifyEvidence(first.files, { ...world.policy, anchors: undefined }, world.now).verdict).toBe('consistent');
  });

  test('exceptions are visible and a disagreement refuses', async () => {
    const excepted = await softEvidence(world, { exceptions: ['The camera was off for a minute.'] });
    expect(judge(excepted.files).checks.find(({ name }) => name === 'agreement')?.detail).toContain('camera');
    const { directory } = await softCeremony(world, { disagree: 'custodian-2' });
    expectRefusal('participant-disagrees', () => verifyDeployment(readEvidence(directory)));
  });

  type Files = Map<string, Uint8Array>;
  const json = (files: Files, name: string) => JSON.parse(new TextDecoder().decode(files.get(name)));
  const put = (files: Files, name: string, document: unknown) => files.set(name, encodeCanonical(document));
  /** Whoever controls all of the evidence but no key of the participants makes manifest and statement fit again. */
  const refit = (files: Files) => {
    const manifest = json(files, 'manifest.json');
    for (const name of Object.keys(manifest.files)) manifest.files[name] = hexHash(files.get(name) as Uint8Array);
    put(files, 'manifest.json', manifest);
    put(files, 'statement.json', { ...json(files, 'statement.json'), evidence: hexHash(files.get('manifest.json') as Uint8Array) });
  };

  test.each<[string, CheckCode, (files: Files) => unknown]>([
    [
      'a replica whose token key differs from the statement',
      'token-key-differs',
      (files) => {
        const attributes = json(files, 'attributes/replica-2.json');
        put(files, 'attributes/replica-2.json', { ...attributes, oprf_key: json(files, 'attributes/replica-1.json').oprf_key });
        refit(files);
      },
    ],
    [
      'a key that may leave its token',
      'attributes-unsafe',
      (files) => {
        const attributes = json(files, 'attributes/replica-2.json');
        attributes.keys.oprf.extractable = true;
        put(files, 'attributes/replica-2.json', attributes);
        const statement = json(files, 'statement.json');
        statement.replicas[1].key_attributes.oprf.extractable = true;
        put(files, 'statement.json', statement);
        refit(files);
      },
    ],
    [
      'an OPRF key that signs',
      'attributes-unsafe',
      (files) => {
        const [attributes, statement] = [json(files, 'attributes/replica-1.json'), json(files, 'statement.json')];
        attributes.keys.oprf.sign = statement.replicas[0].key_attributes.oprf.sign = true;
        put(files, 'attributes/replica-1.json', attributes);
        put(files, 'statement.json', statement);
        refit(files);
      },
    ],
    ['a changed file', 'manifest-mismatch', (files) => files.set('software.json', utf8('{}'))],
    ['a file too many', 'manifest-mismatch', (files) => files.set('notes.txt', utf8('trust me'))],
    ['a file too few', 'evidence-incomplete', (files) => files.delete('tokens/replica-3.json')],
    ['no statement', 'evidence-incomplete', (files) => files.delete('statement.json')],
    [
      'other evidence than the statement’s',
      'evidence-mismatch',
      (files) => put(files, 'statement.json', { ...json(files, 'statement.json'), evidence: '00'.repeat(32) }),
    ],
    [
      'a line of the transcript changed',
      'transcript-broken',
      (files) => {
        const text = new TextDecoder().decode(files.get('transcript.jsonl'));
        files.set('transcript.jsonl', utf8(text.replace('"token-read"', '"token-seen"')));
        refit(files);
      },
    ],
    [
      'a line of the transcript left out',
      'transcript-broken',
      (files) => {
        const text = new TextDecoder().decode(files.get('transcript.jsonl'));
        files.set('transcript.jsonl', utf8(text.split('\n').toSpliced(3, 1).join('\n')));
        refit(files);
      },
    ],
    ['a signature of nobody', 'participant-signature', (files) => files.set('participants/nobody.sig', utf8('x'))],
    [
      'the last line of the transcript changed',
      'participant-signature',
      (files) => {
        const text = new TextDecoder().decode(files.get('transcript.jsonl'));
        files.set('transcript.jsonl', utf8(text.replace('"threshold":2', '"threshold":3')));
        refit(files);
      },
    ],
    [
      'another plan',
      'plan-mismatch',
      (files) => {
        const text = new TextDecoder().decode(files.get('plan.yaml'));
        files.set('plan.yaml', utf8(text.replace('store_incarnation: 1', 'store_incarnation: 2')));
        refit(files);
      },
    ],
    [
      'another operator in the plan',
      'plan-mismatch',
      (files) => {
        const text = new TextDecoder().decode(files.get('plan.yaml'));
        files.set('plan.yaml', utf8(text.replace('- name: replica-2', '- name: replica-2\n    operator: east')));
        refit(files);
      },
    ],
    ['a participant who did not sign', 'participant-missing', (files) => files.delete('participants/custodian-2.sig')],
    [
      'a participant’s words changed',
      'participant-signature',
      (files) => put(files, 'participants/witness.json', { ...json(files, 'participants/witness.json'), exceptions: ['none at all'] }),
    ],
    [
      'a participant’s signature by another',
      'participant-signature',
      (files) =>
        files.set(
          'participants/witness.sig',
          toDer(
            (world.participants.get('operator') as { sign(m: Uint8Array): Uint8Array }).sign(
              files.get('participants/witness.json') as Uint8Array,
            ),
          ),
        ),
    ],
    ['other anchors', 'anchors-differ', (files) => files.set('anchors/witness-ca.pem', files.get('anchors/operator-ca.pem') as Uint8Array)],
    [
      'another epoch’s bundle',
      'evidence-mismatch',
      (files) => {
        for (const name of ['validation-bundle.txt', 'log-proof.txt']) files.set(name, second.files.get(name) as Uint8Array);
      },
    ],
  ])('with %s', (_what, code, change) => {
    const files = new Map(first.files);
    change(files);
    const { checks, verdict } = judge(files);
    expect(verdict).toBe('refused');
    expect(checks.flatMap((check) => check.code ?? [])).toContain(code);
  });

  test('an epoch gap', () => {
    const files: Files = new Map(second.files);
    put(files, 'statement.json', { ...json(files, 'statement.json'), epoch: 3 });
    expect(codes(files)).toContain('epoch-gap');
    expectRefusal('epoch-gap', () => verifyDeployment(files));
  });

  test('another previous statement', () => {
    const files: Files = new Map(second.files);
    put(files, 'statement.json', { ...json(files, 'statement.json'), previous: '00'.repeat(32) });
    expect(codes(files)).toContain('previous-mismatch');
  });

  const failedCheck = (files: Files, name: string) => judge(files).checks.find((check) => check.name === name)?.code;

  test('a statement that names other evidence, in the check of its own', () => {
    const files: Files = new Map(first.files);
    put(files, 'statement.json', { ...json(files, 'statement.json'), evidence: '00'.repeat(32) });
    expect(failedCheck(files, 'evidence')).toBe('evidence-mismatch');
  });

  test('a plan with a word more than the transcript began with', () => {
    const files: Files = new Map(first.files);
    files.set('plan.yaml', utf8(`${new TextDecoder().decode(files.get('plan.yaml'))}# approved\n`));
    refit(files);
    expect(failedCheck(files, 'as-told')).toBe('evidence-mismatch');
  });

  test('software that the transcript tells of, and the plan does not', () => {
    const files: Files = new Map(first.files);
    put(files, 'software.json', { ...json(files, 'software.json'), version: '6.6.6' });
    rewriteTranscript(files, (line) => {
      if (line.event === 'software-named') line.data.sha256 = hexHash(files.get('software.json') as Uint8Array);
    });
    refit(files);
    expect(failedCheck(files, 'transcript')).toBeNull();
    expect(failedCheck(files, 'as-told')).toBe('plan-mismatch');
  });

  test('a transcript whose time goes back', () => {
    const files: Files = new Map(first.files);
    rewriteTranscript(files, (line, i) => {
      if (i === 4) line.at = '2020-01-01T00:00:00.000Z';
    });
    expect(failedCheck(files, 'transcript')).toBe('transcript-broken');
  });

  test('another transcript under the same statement', () => {
    const files: Files = new Map(first.files);
    rewriteTranscript(files, (line) => Object.assign(line, line.event === 'deployment-described' ? { data: { replicas: 9 } } : {}));
    expect(failedCheck(files, 'transcript')).toBeNull();
    expect(failedCheck(files, 'participants')).toBe('participant-signature');
  });

  test.each([['missing', { mac: undefined }] as const, ['more', { spare: { extractable: true } }] as const])(
    'a key %s',
    (_what, change) => {
      const files: Files = new Map(first.files);
      const [attributes, statement] = [json(files, 'attributes/replica-1.json'), json(files, 'statement.json')];
      Object.assign(attributes.keys, change);
      Object.assign(statement.replicas[0].key_attributes, change);
      put(files, 'attributes/replica-1.json', JSON.parse(JSON.stringify(attributes)));
      put(files, 'statement.json', JSON.parse(JSON.stringify(statement)));
      expect(failedCheck(files, 'token-keys')).toBeNull();
      expect(failedCheck(files, 'attributes')).toBe('attributes-unsafe');
    },
  );

  type Line = { event: string; data: Record<string, unknown> };
  const change = (event: string, data: object) => (line: Line) => {
    if (line.event === event) Object.assign(line.data, data);
  };
  test.each<[string, (line: Line, i: number) => void]>([
    ['another fleet', change('ceremony-begun', { fleet: 'east' })],
    ['another epoch', change('ceremony-begun', { epoch: 7 })],
    ['another purpose than the plan', change('ceremony-begun', { purpose: 'production' })],
    ['other participants', change('participants-named', { participants: [] })],
    ['other software', change('software-named', { digest: 'sha256:00' })],
    ['another manufacturer', change('token-read', { manufacturer: 'Dear Modules Inc.' })],
    ['another serial', change('token-read', { serial: '4711' })],
    ['a word more of a token', change('token-read', { certified: 'FIPS 140-3' })],
    ['keys kept that were to be made', (line) => Object.assign(line, line.event === 'keys-made' ? { event: 'keys-kept' } : {})],
    ['other keys', change('keys-made', { release_key: `02${'11'.repeat(32)}` })],
    ['another threshold', change('deployment-described', { threshold: 3 })],
  ])('a transcript that tells of %s', (_what, rewrite) => {
    const files: Files = new Map(first.files);
    rewriteTranscript(files, rewrite as Parameters<typeof rewriteTranscript>[1]);
    expect(failedCheck(files, 'transcript')).toBeNull();
    expect(failedCheck(files, 'as-told')).toBe('evidence-mismatch');
  });

  test.each(['ceremony-failed', 'keys-kept', 'keys-rotated', 'previous-statement', 'door-opened'])(
    'a transcript with a line %s more',
    (event) => {
      const files: Files = new Map(first.files);
      const lines = new TextDecoder().decode(files.get('transcript.jsonl')).trimEnd().split('\n');
      const more = {
        ...JSON.parse(lines.at(-1) as string),
        seq: lines.length + 1,
        event,
        data: { replica: 'replica-1', why: 'the door was open' },
      };
      files.set('transcript.jsonl', utf8(`${[...lines, JSON.stringify(more)].join('\n')}\n`));
      rewriteTranscript(files, () => {});
      expect(failedCheck(files, 'transcript')).toBeNull();
      expect(failedCheck(files, 'as-told')).toBe('evidence-mismatch');
    },
  );

  test('an earlier epoch that the statement before does not list so', async () => {
    const { plan } = next(first.statement, first.directory);
    const replicas = planDocument(world).replicas.map((replica) => ({ ...replica, keys: 'keep' as const }));
    const reading = (fresh: TokenReading, index: number) => {
      const kept = first.statement.document.replicas[index - 1] as StatementDocument['replicas'][number];
      const { oprf_key, release_key, receipt_key, token, key_attributes } = kept;
      return { ...fresh, oprf_key, release_key, receipt_key, token, key_attributes };
    };
    const held = await softCeremony(world, { plan: { ...plan, replicas, epochs_ended: [] }, reading });
    const files = () => new Map(readEvidence(held.directory));
    expect(held.statement.document.earlier).toEqual(earlierAfter(first.statement.document, []));
    for (const check of ['previous', 'as-planned'] as const) expect(failedCheck(files(), check), check).toBeNull();
    const listing = (earlier: StatementDocument['earlier']) =>
      files().set('statement.json', encodeStatement({ ...held.statement.document, earlier }));
    const [one] = held.statement.document.earlier as [StatementDocument['earlier'][number]];
    const more = { index: 4, receipt_key: second.statement.document.replicas[0]?.receipt_key as string };
    expect(failedCheck(listing([{ ...one, replicas: [...one.replicas, more], threshold: 3 }]), 'previous')).toBe('earlier-mismatch');
    expect(failedCheck(listing([]), 'previous')).toBeNull();
    expect(failedCheck(listing([]), 'as-planned')).toBe('plan-mismatch'); // nobody planned to end it
  });

  test('keys that are said to be rotated, and are the old ones or those of another replica', async () => {
    const rotated = async (reading: (fresh: TokenReading, before: StatementDocument['replicas'][number]) => Partial<TokenReading>) => {
      const { plan } = next(first.statement, first.directory);
      const replicas = planDocument(world).replicas.map((replica) => ({ ...replica, keys: 'rotate' as const }));
      const held = await softCeremony(world, {
        plan: { ...plan, replicas },
        reading: (fresh, index) => ({
          ...fresh,
          ...reading(fresh, first.statement.document.replicas[index - 1] as StatementDocument['replicas'][number]),
        }),
      });
      return failedCheck(new Map(readEvidence(held.directory)), 'as-told');
    };
    expect(await rotated((_, { receipt_key }) => ({ receipt_key }))).toBeNull();
    // Whoever takes part verifies before signing.
    for (const wrong of [
      () => ({}),
      (_, before) => publicKeysOf(before),
      (_, { receipt_key, oprf_key }) => ({ receipt_key, oprf_key }),
      (_, { receipt_key, release_key }) => ({ receipt_key, release_key }),
      (_, { receipt_key, oprf_key }) => ({ receipt_key, release_key: oprf_key }),
      (_, { receipt_key, oprf_key }) => ({ receipt_key, oprf_key: negated(oprf_key) }),
    ] satisfies Parameters<typeof rotated>[0][])
      await expect(rotated(wrong), String(wrong)).rejects.toThrow('rotated');
  });

  test('a transcript of another previous statement', () => {
    const files: Files = new Map(second.files);
    expect(failedCheck(files, 'as-told')).toBeNull();
    rewriteTranscript(files, (line) => Object.assign(line.data, line.event === 'previous-statement' ? { sha256: '00'.repeat(32) } : {}));
    expect(failedCheck(files, 'as-told')).toBe('evidence-mismatch');
  });

  test('a transcript that counts wrongly', () => {
    const files: Files = new Map(first.files);
    rewriteTranscript(files, (line, i) => Object.assign(line, i === 4 ? { seq: 7 } : {}));
    expect(failedCheck(files, 'transcript')).toBe('transcript-broken');
  });

  test('a transcript that tells of a token twice', () => {
    const files: Files = new Map(first.files);
    rewriteTranscript(files, (line, i) => {
      if (i === 4) line.event = 'token-read';
    });
    expect(failedCheck(files, 'as-told')).toBe('evidence-mismatch');
  });

  test('a manifest that names what comes after it', () => {
    const files: Files = new Map(first.files);
    const manifest = json(files, 'manifest.json');
    manifest.files['index.html'] = hexHash(files.get('index.html') as Uint8Array);
    put(files, 'manifest.json', manifest);
    expect(failedCheck(files, 'manifest')).toBe('manifest-mismatch');
  });

  /** As somebody would who can do everything but sign: every line after the changed one fits again. */
  function rewriteTranscript(
    files: Files,
    change: (line: { at: string; event: string; data: Record<string, unknown> }, i: number) => void,
  ): void {
    let prev = '0'.repeat(64);
    const lines = new TextDecoder().decode(files.get('transcript.jsonl')).trimEnd().split('\n');
    const rewritten = lines.map((text, i) => {
      const line = JSON.parse(text);
      change(line, i);
      const bytes = encodeCanonical({ ...line, prev });
      prev = hexHash(bytes);
      return `${new TextDecoder().decode(bytes)}\n`;
    });
    files.set('transcript.jsonl', utf8(rewritten.join('')));
  }

  test('a first statement that names a previous one', () => {
    const files: Files = new Map(first.files);
    put(files, 'statement.json', { ...json(files, 'statement.json'), previous: '00'.repeat(32) });
    expect(failedCheck(files, 'previous')).toBe('previous-mismatch');
  });

  test('a byte changed anywhere is refused, and by a refusal', () => {
    for (const [name, bytes] of first.files) {
      if (name === 'index.html') continue; // anybody may put another page there: it says so itself
      for (const share of [0.05, 0.4, 0.8]) {
        const at = Math.floor(share * bytes.length);
        const changed = bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
        const everySignature = { ...world.policy, anchors: { ...(world.policy.anchors as Anchors), log: logTrust(2) } };
        const report = verifyEvidence(new Map([...first.files, [name, changed]]), everySignature, world.now);
        expect(report.verdict, `${name}, byte ${at}`).toBe('refused');
      }
    }
  });

  test.each<[string, string, CheckCode]>([
    ['transcript.jsonl', 'transcript', 'transcript-broken'],
    ['participants/witness.json', 'participants', 'participant-signature'],
    ['tokens/replica-1.json', 'tokens', 'evidence-mismatch'],
    ['attributes/replica-1.json', 'token-keys', 'evidence-mismatch'],
  ])('half a character in %s is refused, and by a refusal', (name, check, code) => {
    const files: Files = new Map(first.files);
    const text = new TextDecoder().decode(files.get(name));
    // A key of the map of attributes, and else the first value that may be any string.
    files.set(name, utf8(text.replace(/("purpose"|"exceptions"|"manufacturer"|"label"):("[^"]*"|\[[^\]]*\])/, halfOf)));
    expect(files.get(name)).not.toEqual(utf8(text));
    if (name.startsWith('participants/')) {
      const { sign } = world.participants.get('witness') as { sign(m: Uint8Array): Uint8Array };
      files.set('participants/witness.sig', toDer(sign(files.get(name) as Uint8Array)));
    }
    expect(failedCheck(files, check)).toBe(code);
  });
  const halfOf = (_found: string, key: string, value: string) => `${key}:${value.startsWith('[') ? '["\\ud800"]' : '"\\ud800"'}`;

  const sentences = (files: Files, code: CheckCode) =>
    judge(files)
      .checks.filter((check) => check.code === code)
      .map(({ detail }) => detail);
  const DIFFERS = 'in the evidence is not the one known from elsewhere.';

  test.each<[string, CheckCode, string, (files: Files) => unknown]>([
    [
      'another log key',
      'anchors-differ',
      `The log’s key ${DIFFERS}`,
      (files) => files.set('anchors/log-policy.txt', utf8(softPolicy(softKey('other.example'), world.cosigners, 1))),
    ],
    [
      'a cosigner more',
      'anchors-differ',
      'The cosigners in the evidence are not those known from elsewhere.',
      (files) => files.set('anchors/log-policy.txt', utf8(softPolicy(world.log, [...world.cosigners, softKey('three.example')], 1))),
    ],
    [
      'another token',
      'evidence-mismatch',
      'The token of replica-1 is not the one in the statement.',
      (files) => put(files, 'tokens/replica-1.json', { ...json(files, 'tokens/replica-1.json'), serial: 'another' }),
    ],
    [
      'an attestation that nobody told of',
      'evidence-mismatch',
      'The attestation of replica-1 is not the one that the transcript tells of.',
      (files) => files.set('attestation/replica-1/chain.pem', utf8('chain')),
    ],
    ...(['name', 'role'] as const).map((field): [string, CheckCode, string, (files: Files) => unknown] => [
      `a signature under another ${field}`,
      'participant-signature',
      'What witness signed names somebody else.',
      (files) => {
        put(files, 'participants/witness.json', { ...json(files, 'participants/witness.json'), [field]: 'operator' });
        const { sign } = world.participants.get('witness') as { sign(m: Uint8Array): Uint8Array };
        files.set('participants/witness.sig', toDer(sign(files.get('participants/witness.json') as Uint8Array)));
      },
    ]),
  ])('with %s, in these words', (_what, code, sentence, change) => {
    const files: Files = new Map(first.files);
    change(files);
    expect(sentences(files, code)).toContain(sentence);
  });

  test('a previous statement of another fleet, that the statement names', () => {
    const files: Files = new Map(second.files);
    put(files, 'previous.json', { ...json(files, 'previous.json'), fleet: 'east' });
    put(files, 'statement.json', { ...json(files, 'statement.json'), previous: hexHash(files.get('previous.json') as Uint8Array) });
    expect(sentences(files, 'previous-mismatch')).toEqual(['The statement does not name the statement before it by its hash.']);
  });

  test('a plan with half a character', () => {
    const files: Files = new Map(first.files);
    files.set('plan.yaml', utf8(new TextDecoder().decode(files.get('plan.yaml')).replace('- make build', '- "\\uD800"')));
    expect(judge(files).verdict).toBe('refused');
  });

  test('time is judged, too', () => {
    expect(codes(first.files, world.now + 31 * DAY)).toEqual(['checkpoint-stale']);
    expect(codes(first.files, world.now + 366 * DAY)).toContain('certificate-expired');
  });
});

/** The point with the other y. */
const negated = (key: string) => `${key.startsWith('02') ? '03' : '02'}${key.slice(2)}`;

describe('an epoch that is put in force', () => {
  let alone: SoftWorld;
  let made: SoftEvidence;
  let enforced: SoftEvidence;

  beforeAll(async () => {
    alone = await softWorld();
    made = await softEvidence(alone);
    enforced = softEnforced(alone, made);
  });

  afterAll(() => alone.remove());

  type Files = Map<string, Uint8Array>;
  const judge = (files: Files) => verifyEvidence(files, alone.policy, alone.now);
  const failing = (files: Files) => judge(files).checks.flatMap(({ name, code }) => (code ? [[name, code]] : []));
  const signed = (statement: Pick<Statement, 'fleet' | 'epoch' | 'hash'>, by = alone.operator) =>
    utf8(signInForce(statement, alone.now, by.signer, alone.now));
  const NEWEST = 'backup-key-vault/in-force/v1 west';

  test('is in the evidence, and its page', () => {
    const { checks, verdict } = judge(enforced.files);
    expect(verdict).toBe('trusted');
    expect(checks.map(({ name }) => name)).toEqual(expect.arrayContaining(['newest', 'put-in-force', 'in-force-logged']));
    expect(checks).toHaveLength(judge(made.files).checks.length + 2);
    expect(new TextDecoder().decode(enforced.files.get('index.html'))).toContain('in-force.txt');
  });

  test.each<[string, string, CheckCode, (files: Files) => unknown]>([
    ['by a stranger', 'put-in-force', 'certificate-untrusted', (files) => files.set('in-force.txt', signed(made.statement, alone.witness))],
    [
      'for another statement',
      'put-in-force',
      'in-force-refused',
      (files) => files.set('in-force.txt', signed({ fleet: 'west', epoch: 1, hash: leafHash(utf8('another')) })),
    ],
    [
      'for another epoch',
      'put-in-force',
      'in-force-refused',
      (files) => files.set('in-force.txt', signed({ fleet: 'west', epoch: 2, hash: made.statement.hash })),
    ],
    ['without what was signed', 'put-in-force', 'evidence-incomplete', (files) => files.delete('in-force.txt')],
    ['without proof', 'in-force-logged', 'evidence-incomplete', (files) => files.delete('in-force-proof.txt')],
    [
      'with the proof of another entry',
      'in-force-logged',
      'inclusion-proof',
      (files) => files.set('in-force-proof.txt', proofOf(alone, 0)),
    ],
    ['with no proof', 'in-force-logged', 'proof-malformed', (files) => files.set('in-force-proof.txt', utf8('proof'))],
    [
      'with a stale proof',
      'in-force-logged',
      'checkpoint-stale',
      (files) => files.set('in-force-proof.txt', proofOf(alone, 1, { at: alone.now - 31 * DAY })),
    ],
    [
      'by a checkpoint that does not name it',
      'in-force-logged',
      'newest-mismatch',
      (files) => files.set('in-force-proof.txt', proofOf(alone, 1, { extensions: [] })),
    ],
    [
      'by a checkpoint that names a later time',
      'in-force-logged',
      'newest-mismatch',
      (files) => files.set('in-force-proof.txt', proofOf(alone, 1, { extensions: [`${NEWEST} 1 2099-01-01T00:00:00Z 1`] })),
    ],
    [
      'which the statement’s own checkpoint does not name',
      'in-force-logged',
      'newest-mismatch',
      (files) => files.set('log-proof.txt', proofOf(alone, 0, { extensions: [] })),
    ],
    [
      'with a line that is none',
      'newest',
      'checkpoint-malformed',
      (files) => files.set('log-proof.txt', proofOf(alone, 0, { extensions: [`${NEWEST} 1 soon 1`] })),
    ],
    [
      'and replaced since',
      'newest',
      'statement-superseded',
      (files) => files.set('log-proof.txt', proofOf(alone, 0, { extensions: [`${NEWEST} 2 2026-01-01T00:00:00Z 1`] })),
    ],
  ])('is refused: %s', (_what, name, code, change) => {
    const files: Files = new Map(enforced.files);
    change(files);
    expect(failing(files)).toContainEqual([name, code]);
  });

  test('is shown by a checkpoint from before it, and by one that names a newer epoch whose time has not come', () => {
    const shown = (proof: Uint8Array) => judge(new Map([...enforced.files, ['log-proof.txt', proof]])).verdict;
    expect(shown(proofOf(alone, 0, { entries: alone.entries.slice(0, 1) }))).toBe('trusted');
    expect(shown(proofOf(alone, 0, { extensions: [`${NEWEST} 2 2099-01-01T00:00:00Z 1`] }))).toBe('trusted');
  });

  test('is neither signed nor written where the evidence does not hold, or the key is not the operator’s', () => {
    const { directory } = made;
    const strict = { checkpointAgeMost: DAY, operatorsLeast: 1, now: alone.now, anchors: alone.anchors };
    const sign = (changes: Partial<Parameters<typeof enforceEpoch>[0]>) =>
      enforceEpoch({ ...strict, directory, refuseOlderFrom: alone.now, operator: alone.operator.signer, ...changes });
    expectRefusal('certificate-untrusted', () => sign({ operator: alone.witness.signer }));
    const fewer = proofOf(alone, 0, { cosigners: alone.cosigners.slice(1) });
    const sparse = writeFiles(join(alone.directory, 'sparse'), new Map([...readEvidence(directory), ['log-proof.txt', fewer]]));
    expect(sign({ directory: sparse }).statement.epoch).toBe(1);
    const both = new Map([...alone.anchors, ['log-policy.txt', utf8(softPolicy(alone.log, alone.cosigners, 2))]]);
    expectRefusal('cosignatures-few', () => sign({ directory: sparse, anchors: both }));
    const before = readEvidence(directory);
    const [inForceProof, logProof] = [before.get('in-force-proof.txt'), before.get('log-proof.txt')] as [Uint8Array, Uint8Array];
    expectRefusal('certificate-untrusted', () =>
      complete({ ...strict, directory, template: '', inForce: signed(made.statement, alone.witness), inForceProof, logProof }),
    );
    expect(readEvidence(directory)).toEqual(before);
  });
});

test('every code has a sentence of its own', () => {
  expect(new Set(Object.values(checkCodes)).size).toBe(Object.keys(checkCodes).length);
});

function expectRefusal(code: CheckCode, act: () => unknown): void {
  let thrown: unknown;
  try {
    act();
  } catch (error) {
    thrown = error;
  }
  expect(refusalOf(thrown) ?? thrown).toBe(code);
  expect(isVaultError(thrown) && thrown.message).toMatch(/^\w.{15,}\.$/s);
}
