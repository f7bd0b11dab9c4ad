import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { utf8 } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { Statement } from '../../protocol/statement.ts';
import { softCheckpoint, softKey, softMlDsaKey, softPolicy } from '../../test/harness/test-log.ts';
import { StandingClock, softSigner, softStatement } from '../../test/harness/test-witness.ts';
import { makeParty, type Party } from '../../test/trust/parties.ts';
import { formatNote, parseNote } from '../log/note.ts';
import { formatNoteKey, type NoteKey } from '../log/note-key.ts';
import { parseLogTrust, verifyCheckpoint } from '../log/policy.ts';
import { parseProof, provesEntry } from '../log/proof.ts';
import { parseEntries } from '../log/tile.ts';
import { leafHash } from '../log/tree.ts';
import { signInForce } from '../produce/in-force.ts';
import { parseCertificate } from '../verify/certificate.ts';
import type { OperatorAuthorities } from '../verify/in-force.ts';
import { parseWitnessConfig } from './config.ts';
import { PublishedLog } from './published-log.ts';
import { enforce, type Judgement, newestLines, refresh, submit, type WitnessOptions } from './witness.ts';

const NAME = 'witness.example/log';
const first = softStatement();
const second = softStatement(first);

let operator: Party;
let operators: OperatorAuthorities = new Map();
let directory: string;
let clock: StandingClock;
let options: WitnessOptions;

const judgement: Judgement = { verifyEvidence: () => {}, signBundle: (statement) => `signed ${statement.length}` };
const openLog = () => new PublishedLog(directory, NAME, softSigner(NAME), newestLines(operators));
const evidence = (statement: Statement) => new Map([['statement.json', statement.bytes]]);
const publicFile = (name: string) => join(directory, 'public', name);
const checkpoint = () =>
  verifyCheckpoint(
    parseNote(readFileSync(publicFile('checkpoint'))),
    { ...parseLogTrust(utf8(softPolicy(softKey(NAME)))), checkpointAgeMost: 1000 },
    clock.now(),
  );

const refused = (check: string) => expect.objectContaining({ code: 'FLEET_UNTRUSTED', details: { check } });
const failure = (code: string) => expect.objectContaining({ code });

beforeAll(async () => {
  const now = new StandingClock().now();
  operator = await makeParty('operator', { notBefore: new Date(now - 3600_000), notAfter: new Date(now + 365 * 24 * 3600_000) });
});

beforeEach(() => {
  operators = new Map([['test', [parseCertificate(operator.ca)]]]);
  directory = mkdtempSync(join(tmpdir(), 'bkv-log-'));
  clock = new StandingClock();
  const log = openLog();
  log.make(clock.now());
  options = { log, judgement, cosigners: [], clock };
});

afterEach(() => rmSync(directory, { recursive: true }));

describe('a submission', () => {
  test('is in the log, proven and signed', async () => {
    expect(checkpoint().size).toBe(0);
    const { index, isNew, proof, bundle } = await submit(evidence(first), options);
    expect({ index, isNew, bundle }).toEqual({ index: 0, isNew: true, bundle: `signed ${first.bytes.length}` });
    const read = parseProof(proof);
    expect(provesEntry(read, first.bytes)).toBe(true);
    expect(read.checkpoint.root).toEqual(checkpoint().root);
    expect(parseEntries(readFileSync(publicFile('tile/entries/000.p/1')), 1)).toEqual([first.bytes]);
  });

  test('is followed by the next, and by nothing else', async () => {
    await submit(evidence(first), options);
    const fork = softStatement(first, { store_incarnation: 2 });
    await submit(evidence(second), options);
    await expect(submit(evidence(fork), options)).rejects.toThrow(refused('statement-older'));
    await expect(submit(evidence(first), options)).rejects.toThrow(refused('statement-older'));
    await expect(submit(evidence(softStatement(softStatement(second))), options)).rejects.toThrow(refused('epoch-gap'));
    expect(checkpoint().size).toBe(2);
    expect(readdirSync(publicFile('tile/0/000.p')).sort()).toEqual(['1', '2']);
  });

  test('is neither appended nor signed when its evidence is refused', async () => {
    const verifyEvidence = () => {
      throw new VaultError('FLEET_UNTRUSTED', 'no', { details: { check: 'participant-missing' } });
    };
    const signBundle = () => {
      throw new Error('signed');
    };
    await expect(submit(evidence(first), { ...options, judgement: { verifyEvidence, signBundle } })).rejects.toThrow(
      refused('participant-missing'),
    );
    expect(openLog().entries()).toEqual([]);
  });

  test('of the same statement again makes a fresh proof and no second entry', async () => {
    await submit(evidence(first), options);
    clock.pass(3600_000);
    const again = await submit(evidence(first), options);
    expect(again).toMatchObject({ index: 0, isNew: false, size: 1 });
    expect(checkpoint()).toMatchObject({ size: 1, signedAt: clock.now() });
  });

  test('that needs no log but statement.json says so', async () => {
    await expect(submit(new Map(), options)).rejects.toThrow(failure('CONFIG_INVALID'));
    await expect(submit(new Map([['statement.json', utf8('{}')]]), options)).rejects.toThrow(refused('statement-malformed'));
  });
});

describe('what the operator puts in force', () => {
  const signed = (statement: Statement, from = clock.now()) => utf8(signInForce(statement, from, operator.signer, clock.now()));
  const line = (epoch: number, least: number) => `backup-key-vault/in-force/v1 test ${epoch} 2026-01-01T00:00:00Z ${least}`;

  test('is logged, proven together with its statement, and named by every checkpoint from then on', async () => {
    await submit(evidence(first), options);
    expect(checkpoint().extensions).toEqual([]);
    const entry = signed(first);
    const { inForce, index, isNew, size, proof, statementProof } = await enforce(entry, operators, options);
    expect({ inForce, index, isNew, size }).toMatchObject({ inForce: { epoch: 1 }, index: 1, isNew: true, size: 2 });
    for (const [bytes, held] of [
      [proof, entry],
      [statementProof, first.bytes],
    ] as const) {
      const read = parseProof(bytes);
      expect(provesEntry(read, held)).toBe(true);
      expect(read.checkpoint.extensions).toEqual([line(1, 1)]);
    }
    await submit(evidence(second), options);
    expect(checkpoint()).toMatchObject({ size: 3, extensions: [line(1, 1)] }); // nobody put the second in force
    await enforce(signed(second), operators, options);
    clock.pass(3600_000);
    await refresh(options);
    expect(checkpoint()).toMatchObject({ size: 4, extensions: [line(2, 1)] });
  });

  test('is completed by the same again after a crash, and is no second entry', async () => {
    await submit(evidence(first), options);
    const entry = signed(first);
    expect(options.log.append(1, entry)).toBe(true); // and here the power fails
    expect(await enforce(entry, operators, options)).toMatchObject({ index: 1, isNew: false, size: 2 });
    expect(checkpoint().extensions).toEqual([line(1, 1)]);
    expect(await enforce(entry, operators, options)).toMatchObject({ isNew: false, size: 2 });
  });

  test('does not keep the next statement out', async () => {
    await submit(evidence(first), options);
    await enforce(signed(first), operators, options);
    expect(await submit(evidence(first), options)).toMatchObject({ index: 0, isNew: false });
    expect(await submit(evidence(second), options)).toMatchObject({ index: 2, isNew: true });
  });

  test('is not logged where the rules or the signature forbid it', async () => {
    await submit(evidence(first), options);
    await expect(enforce(signed(second), operators, options)).rejects.toThrow(refused('in-force-refused'));
    await expect(enforce(signed(first), new Map(), options)).rejects.toThrow(refused('certificate-untrusted'));
    const stranger = await makeParty('stranger', { notBefore: new Date(0), notAfter: new Date(clock.now() + 3600_000) });
    const forged = utf8(signInForce(first, clock.now(), stranger.signer, clock.now()));
    await expect(enforce(forged, operators, options)).rejects.toThrow(refused('certificate-untrusted'));
    await expect(enforce(first.bytes, operators, options)).rejects.toThrow(refused('bundle-malformed'));
    expect(openLog().entries()).toEqual([first.bytes]);
  });

  test('stops the log where nobody knows its operator any more: a line that was there does not go', async () => {
    await submit(evidence(first), options);
    await enforce(signed(first), operators, options);
    const before = readFileSync(publicFile('checkpoint'));
    operators = new Map();
    const forgetful = { ...options, log: openLog() };
    await expect(refresh(forgetful)).rejects.toMatchObject({ code: 'FLEET_UNTRUSTED', details: { check: 'certificate-untrusted' } });
    expect(readFileSync(publicFile('checkpoint'))).toEqual(before);
  });
});

test('a crash between append and checkpoint loses nothing: the same submission completes it', async () => {
  await submit(evidence(first), options);
  expect(options.log.append(1, second.bytes)).toBe(true); // and here the power fails
  expect(checkpoint().size).toBe(1);

  await expect(submit(evidence(softStatement(first, { store_incarnation: 2 })), options)).rejects.toThrow(refused('statement-older'));
  const done = await submit(evidence(second), { ...options, log: openLog() });
  expect(done).toMatchObject({ index: 1, isNew: false, size: 2 });
  expect(checkpoint().size).toBe(2);
  expect(openLog().entries()).toEqual([first.bytes, second.bytes]);
});

test('what a crash left half-written is no entry', async () => {
  writeFileSync(join(directory, 'entries', '.new-1'), 'half');
  await submit(evidence(first), options);
  expect(openLog().entries()).toEqual([first.bytes]);
});

test('of two submissions for one place, one is in the log', async () => {
  const fork = softStatement(first, { store_incarnation: 2 });
  await submit(evidence(first), options);
  const outcomes = await Promise.allSettled([submit(evidence(second), options), submit(evidence(fork), { ...options, log: openLog() })]);
  expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  expect(options.log.append(1, fork.bytes)).toBe(false);
  expect(openLog().entries()).toHaveLength(2);
});

test('another fleet has a history of its own in the same log', async () => {
  await submit(evidence(first), options);
  await submit(evidence(softStatement(undefined, { fleet: 'other' })), options);
  expect(await submit(evidence(second), options)).toMatchObject({ index: 2 });
});

test('a checkpoint is made fresh without an entry', async () => {
  await submit(evidence(first), options);
  clock.pass(24 * 3600_000);
  expect(() => checkpoint()).toThrow(refused('checkpoint-stale'));
  expect(await refresh(options)).toEqual({ size: 1, missing: [] });
  expect(checkpoint().signedAt).toBe(clock.now());
});

test('a tile that somebody changed is mended by the next publication', async () => {
  await submit(evidence(first), options);
  writeFileSync(publicFile('tile/0/000.p/1'), 'changed');
  await refresh(options);
  expect(new Uint8Array(readFileSync(publicFile('tile/0/000.p/1')))).toEqual(leafHash(first.bytes));
});

describe('a log signs nothing when', () => {
  beforeEach(async () => {
    await submit(evidence(first), options);
    await submit(evidence(second), options);
  });

  const nothing = async (code: string) => {
    const before = readdirSync(join(directory, 'entries'));
    await expect(submit(evidence(softStatement(second)), options)).rejects.toThrow(failure(code));
    await expect(refresh(options)).rejects.toThrow(failure(code));
    expect(readdirSync(join(directory, 'entries'))).toEqual(before);
  };

  test('its last entry is gone', async () => {
    rmSync(join(directory, 'entries', '000001'));
    await nothing('LOG_CORRUPT');
  });

  test('an entry in the middle is gone', async () => {
    rmSync(join(directory, 'entries', '000000'));
    await nothing('LOG_MISSING');
  });

  test('an entry is another', async () => {
    writeFileSync(join(directory, 'entries', '000001'), softStatement(first, { store_incarnation: 2 }).bytes);
    await nothing('LOG_CORRUPT');
  });

  test('its entries are gone', async () => {
    rmSync(join(directory, 'entries'), { recursive: true });
    await expect(refresh(options)).rejects.toThrow(failure('LOG_MISSING'));
  });

  test('its checkpoint is gone', async () => {
    rmSync(publicFile('checkpoint'));
    await nothing('LOG_MISSING');
  });

  test('its checkpoint is another’s', async () => {
    const text = readFileSync(publicFile('checkpoint'), 'utf8');
    writeFileSync(publicFile('checkpoint'), text.replace('\n2\n', '\n1\n'));
    await nothing('LOG_CORRUPT');
  });

  test('its checkpoint is right, and signed by another key', async () => {
    const leaves = openLog().entries().map(leafHash);
    const impostor = softKey('impostor');
    const note = softCheckpoint({ ...impostor, key: { ...impostor.key, name: NAME } }, leaves, clock.now());
    writeFileSync(publicFile('checkpoint'), formatNote(note));
    await nothing('LOG_CORRUPT');
  });
});

test('a process that is late publishes no smaller tree', async () => {
  await submit(evidence(first), options);
  const late = options.log.draft(clock.now());
  await submit(evidence(second), options);
  options.log.publish(late, []);
  expect(checkpoint().size).toBe(2);
});

test('cosigners are asked that sign with Ed25519 or ML-DSA-44, and no log', () => {
  const config = (key: NoteKey) => ({
    name: NAME,
    token: { profile: 'softhsm2', label: 'witness', pin_file: 'pin' },
    operators: [],
    cosigners: [{ vkey: formatNoteKey(key), url: 'https://other.example' }],
  });
  const { key, cosigner } = softKey('other.example');
  for (const good of [cosigner, softMlDsaKey('other.example').key]) expect(parseWitnessConfig(config(good), 'x').cosigners).toHaveLength(1);
  expect(() => parseWitnessConfig(config(key), 'x')).toThrow(failure('CONFIG_INVALID'));
});
