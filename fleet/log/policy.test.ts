import { expect, test } from 'vitest';
import { utf8 } from '../../primitives/bytes.ts';
import { type SoftCosigner, softCheckpoint, softKey, softMlDsaKey, softPolicy } from '../../test/harness/test-log.ts';
import { formatNoteKey } from './note-key.ts';
import { cosign, signText } from './note-signature.ts';
import { type LogPolicy, parseLogTrust, verifyCheckpoint } from './policy.ts';
import { leafHash } from './tree.ts';

const DAY = 24 * 3600 * 1000;
const NOW = 1_800_000_000_000;
const leaves = [leafHash(utf8('entry'))];
const log = softKey('log.example/a');
const [one, two, stranger] = [softKey('one.example'), softMlDsaKey('two.example'), softKey('stranger.example')];
const policyOf = (text: string): LogPolicy => ({ ...parseLogTrust(utf8(text)), checkpointAgeMost: 7 * DAY });
const policy = policyOf(softPolicy(log));

const refused = (check: string) => expect.objectContaining({ code: 'FLEET_UNTRUSTED', details: { check } });

test('a fresh checkpoint of the log is trusted', () => {
  const note = softCheckpoint(log, leaves, NOW - DAY, [one]);
  expect(verifyCheckpoint(note, policyOf(softPolicy(log, [one, two], 1)), NOW)).toMatchObject({
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

test('its lines after the root are the log’s, also where no cosignature covers them', () => {
  const cosigned = policyOf(softPolicy(log, [two], 1));
  const note = softCheckpoint(log, leaves, NOW, [two], ['newest 2']);
  expect(verifyCheckpoint(note, cosigned, NOW).extensions).toEqual(['newest 2']);
  for (const line of ['newest 1\n', ''])
    expect(() => verifyCheckpoint({ ...note, text: note.text.replace('newest 2\n', line) }, cosigned, NOW)).toThrow(
      refused('checkpoint-signature'),
    );
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
  const two_needed = policyOf(softPolicy(log, [one, two], 2));
  const fresh = (others: Parameters<typeof softCheckpoint>[3]) => softCheckpoint(log, leaves, NOW, others);
  expect(() => verifyCheckpoint(fresh([one, two]), two_needed, NOW)).not.toThrow();
  expect(() => verifyCheckpoint(fresh([one]), two_needed, NOW)).toThrow(few);
  expect(() => verifyCheckpoint(fresh([one, stranger]), two_needed, NOW)).toThrow(few);
  expect(() => verifyCheckpoint(fresh([one, one]), two_needed, NOW)).toThrow(few);

  const late = softCheckpoint(log, leaves, NOW - 8 * DAY, [two]).signatures.slice(2);
  const note = fresh([one]);
  expect(() => verifyCheckpoint({ ...note, signatures: [...note.signatures, ...late] }, two_needed, NOW)).toThrow(few);
});

test('groups of groups are counted as the policy says', () => {
  const few = refused('cosignatures-few');
  const [x1, x2, x3] = ['x1', 'x2', 'x3'].map((name) => softKey(`${name}.example`)) as [SoftCosigner, SoftCosigner, SoftCosigner];
  const [y1, y2] = ['y1', 'y2'].map((name) => softMlDsaKey(`${name}.example`)) as [SoftCosigner, SoftCosigner];
  const witness = (name: string, { cosigner }: SoftCosigner) => `witness ${name} ${formatNoteKey(cosigner)}`;
  const groups = policyOf(
    [
      `log ${formatNoteKey(log.key)}`,
      ...[witness('X1', x1), witness('X2', x2), witness('X3', x3), 'group X 2 X1 X2 X3'],
      ...[witness('Y1', y1), witness('Y2', y2), 'group Y any Y1 Y2'],
      ...['group both all X Y', 'quorum both', ''],
    ].join('\n'),
  );
  const by = (...others: SoftCosigner[]) => verifyCheckpoint(softCheckpoint(log, leaves, NOW, others), groups, NOW);
  expect(by(x1, x3, y2).cosigners).toEqual(['x1.example', 'x3.example', 'y2.example']);
  expect(by(x1, x2, x3, y1, y2).cosigners).toHaveLength(5);
  for (const others of [[], [x1, x2, x3], [y1, y2], [x1, y1, y2], [x1, x1, y1]]) expect(() => by(...others)).toThrow(few);
  expect(() => by(x1)).toThrow('x1.example signed the checkpoint in time; needed: 2 of (2 of (x1.example, x2.example, x3.example), 1 of (');
});

test.each([
  ['no log', 'quorum none\n'],
  ['two logs', `log ${formatNoteKey(stranger.key)}\n${softPolicy(log)}`],
  ['the log’s own key as a witness', softPolicy(log, [log], 1)],
])('a policy with %s is not that of a fleet’s log', (_what, text) => {
  expect(() => parseLogTrust(utf8(text))).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
});
