import { expect, test } from 'vitest';
import { utf8 } from '../../primitives/bytes.ts';
import { softCheckpoint, softKey } from '../../test/harness/test-log.ts';
import { asCosigner, noteKey } from './note-key.ts';
import { cosign, signText } from './note-signature.ts';
import { type LogPolicy, verifyCheckpoint } from './policy.ts';
import { leafHash } from './tree.ts';

const DAY = 24 * 3600 * 1000;
const NOW = 1_800_000_000_000;
const leaves = [leafHash(utf8('entry'))];
const log = softKey('log.example/a');
const [one, two, stranger] = [softKey('one.example'), softKey('two.example'), softKey('stranger.example')];
const policy: LogPolicy = { logKey: log.key, cosigners: [one.cosigner, two.cosigner], cosignaturesLeast: 0, checkpointAgeMost: 7 * DAY };

const refused = (check: string) => expect.objectContaining({ code: 'FLEET_UNTRUSTED', details: { check } });

test('a fresh checkpoint of the log is trusted', () => {
  const note = softCheckpoint(log, leaves, NOW - DAY, [one]);
  expect(verifyCheckpoint(note, { ...policy, cosignaturesLeast: 1 }, NOW)).toMatchObject({
    origin: 'log.example/a',
    size: 1,
    signedAt: NOW - DAY,
    cosigners: ['one.example'],
  });
});

test('one of another log, or not signed by it, is not', () => {
  const note = softCheckpoint(log, leaves, NOW);
  const forged = { ...note, text: note.text.replace('\n1\n', '\n2\n') };
  for (const wrong of [softCheckpoint(stranger, leaves, NOW), forged, { ...note, signatures: note.signatures.slice(1) }])
    expect(() => verifyCheckpoint(wrong, policy, NOW)).toThrow(refused('checkpoint-signature'));
});

test('one of another origin is not, though the same key signed it', () => {
  const renamed = softCheckpoint({ ...log, key: { ...log.key, name: 'log.example/b' } }, leaves, NOW);
  const { text } = renamed;
  const signatures = [signText(text, log.key, log.sign), cosign(text, log.key, NOW / 1000, log.sign)];
  expect(() => verifyCheckpoint({ text, signatures }, policy, NOW)).toThrow(refused('checkpoint-signature'));
});

test('one that does not say when, signed, is not', () => {
  const note = softCheckpoint(log, leaves, NOW);
  const undated = { ...note, signatures: [signText(note.text, log.key, log.sign)] };
  expect(() => verifyCheckpoint(undated, policy, NOW)).toThrow(refused('checkpoint-signature'));
});

test('an old one is not, nor one from the future', () => {
  const stale = refused('checkpoint-stale');
  const at = (time: number) => () => verifyCheckpoint(softCheckpoint(log, leaves, time), policy, NOW);
  expect(at(NOW - 7 * DAY)).not.toThrow();
  expect(at(NOW - 7 * DAY - 1000)).toThrow(stale);
  expect(at(NOW + 300_000)).not.toThrow();
  expect(at(NOW + 301_000)).toThrow(stale);
});

test('as many others as wanted must have signed, in time, each once', () => {
  const few = refused('cosignatures-few');
  const two_needed = { ...policy, cosignaturesLeast: 2 };
  const fresh = (others: Parameters<typeof softCheckpoint>[3]) => softCheckpoint(log, leaves, NOW, others);
  expect(() => verifyCheckpoint(fresh([one, two]), two_needed, NOW)).not.toThrow();
  expect(() => verifyCheckpoint(fresh([one]), two_needed, NOW)).toThrow(few);
  expect(() => verifyCheckpoint(fresh([one, stranger]), two_needed, NOW)).toThrow(few);
  expect(() => verifyCheckpoint(fresh([one, one]), two_needed, NOW)).toThrow(few);

  const late = softCheckpoint(log, leaves, NOW - 8 * DAY, [two]).signatures.slice(2);
  const note = fresh([one]);
  expect(() => verifyCheckpoint({ ...note, signatures: [...note.signatures, ...late] }, two_needed, NOW)).toThrow(few);
});

test('the log’s own key is no other witness, nor is one key under two names', () => {
  const few = refused('cosignatures-few');
  const note = softCheckpoint(log, leaves, NOW, [one]);
  const own = { ...policy, cosigners: [one.cosigner, asCosigner(log.key)], cosignaturesLeast: 2 };
  expect(() => verifyCheckpoint(note, own, NOW)).toThrow(few);

  const alias = { ...one, key: noteKey('alias.example', 1, one.publicKey) };
  const twice = { ...policy, cosigners: [one.cosigner, asCosigner(alias.key)], cosignaturesLeast: 2 };
  expect(() => verifyCheckpoint(softCheckpoint(log, leaves, NOW, [one, alias]), twice, NOW)).toThrow(few);
});
