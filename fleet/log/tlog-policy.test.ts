import { describe, expect, test } from 'vitest';
import { concat, utf8 } from '../../primitives/bytes.ts';
import { softKey, softMlDsaKey } from '../../test/harness/test-log.ts';
import { formatNoteKey, noteKey } from './note-key.ts';
import { describeQuorum } from './quorum.ts';
import { parseTlogPolicy } from './tlog-policy.ts';

const log = formatNoteKey(softKey('log.example/a').key);
const vkey = (name: string) => formatNoteKey(softKey(name).cosigner);
const mlDsa = formatNoteKey(softMlDsaKey('pq.example').key);
const parse = (text: string) => parseTlogPolicy(utf8(text));
const witnesses = (count: number) => Array.from({ length: count }, (_, i) => `witness w${i} ${vkey(`w${i}.example`)}\n`).join('');
const quorumOf = (text: string) => describeQuorum(parse(text).quorum);

describe('a trust policy', () => {
  test('in the form of the specification’s example', () => {
    const {
      logs,
      witnesses: all,
      quorum,
    } = parse(
      [
        `log ${log}`,
        '',
        ...['X1', 'X2', 'X3'].map((name) => `witness ${name} ${vkey(`${name}.example`)}`),
        'group X-witnesses 2 X1 X2 X3',
        `witness Y1 ${mlDsa}`,
        `witness Y2 ${vkey('Y2.example')}`,
        'group Y-witnesses any Y1 Y2',
        'group X-and-Y all X-witnesses Y-witnesses',
        'quorum X-and-Y',
        '',
      ].join('\n'),
    );
    expect([logs.map(formatNoteKey), all.length]).toEqual([[log], 5]);
    expect(describeQuorum(quorum)).toBe('2 of (2 of (X1.example, X2.example, X3.example), 1 of (pq.example, Y2.example))');
  });

  test('may have no log, no witness, several logs, and one witness for a quorum', () => {
    expect(parse('quorum none\n')).toEqual({ logs: [], witnesses: [], quorum: { kind: 'group', least: 0, members: [] } });
    expect(parse(`log ${log}\nlog ${formatNoteKey(softKey('log.example/b').key)}\nquorum none\n`).logs).toHaveLength(2);
    expect(quorumOf(`${witnesses(2)}quorum w1\n`)).toBe('w1.example');
  });

  test('may have white space, comments, URLs, and lines in any order', () => {
    const text = `\t # a comment \n${witnesses(1)}  quorum\t w0 \n \t\nlog\t${log}  https://log.example/\nwitness w1 ${vkey('b')} https://b/\n`;
    expect(parse(text)).toMatchObject({ logs: [{ name: 'log.example/a' }], witnesses: [{ name: 'w0.example' }, { name: 'b' }] });
  });

  test('compares names octet by octet, in UTF-8 or not, and words are no reserved names', () => {
    const named = (name: Uint8Array, key: string) => concat(utf8('witness '), name, utf8(` ${vkey(key)}\n`));
    const [k, kelvin, broken] = [utf8('K'), utf8('\u212a'), Uint8Array.of(0xff)];
    const text = concat(
      named(k, 'a'),
      named(kelvin, 'b'),
      named(broken, 'c'),
      utf8('group g all '),
      kelvin,
      utf8(' '),
      broken,
      utf8('\nquorum g\n'),
    );
    expect(describeQuorum(parseTlogPolicy(text).quorum)).toBe('2 of (b, c)');
    expect(quorumOf(`witness all ${vkey('a')}\nwitness 2 ${vkey('b')}\ngroup any 1 all 2\nquorum any\n`)).toBe('1 of (a, b)');
  });

  test('may have 64 logs, witnesses and groups, and no more', () => {
    const logs = (count: number) =>
      Array.from({ length: count }, (_, i) => `log ${formatNoteKey(softKey(`log-${i}.example`).key)}\n`).join('');
    const groups = (count: number) => Array.from({ length: count }, (_, i) => `group g${i} any ${i ? `g${i - 1}` : 'w0'}\n`).join('');
    expect(quorumOf(`${logs(64)}${witnesses(64)}${groups(64)}quorum g63\n`)).toContain('1 of (1 of (');
    for (const text of [logs(65), witnesses(65), `${witnesses(1)}${groups(65)}`]) expect(() => parse(`${text}quorum none\n`)).toThrow('64');
  });
});

const two = witnesses(2);
test.each<[string, string | Uint8Array, string]>([
  ['nothing', '', 'does not end'],
  ['a last line that does not end', `${two}quorum w0`, 'does not end'],
  ['no quorum', two, 'no quorum'],
  ['two quorums', 'quorum none\nquorum none\n', 'line 2: there is a quorum already'],
  ['a quorum of two', `${two}quorum w0 w1\n`, 'line 3: a quorum has one name'],
  ['a quorum of nothing', 'quorum\n', 'one name'],
  ['a quorum that is defined later', `quorum w0\n${two}`, 'line 1: no line before it defines w0'],
  ['a word that begins no line', 'logs\nquorum none\n', 'line 1: it begins with none'],
  ['a comment behind a line', 'quorum none # all\n', 'one name'],
  ['a carriage return', 'quorum none\r\n', 'control character'],
  ['a delete', 'quorum none\n# \u007f\n', 'line 2: it has a control character'],
  ['no key of a log', 'log\nquorum none\n', 'a log has a key'],
  ['a log with two URLs', `log ${log} a b\nquorum none\n`, 'a log has a key'],
  ['a log with a cosigner’s key', `log ${vkey('a')}\nquorum none\n`, 'a log has one of type 1'],
  ['a log with a key that is none', `log ${log.slice(1)}\nquorum none\n`, 'line 1: This is not the key'],
  ['one log twice', `log ${log}\nlog ${log}\nquorum none\n`, 'stands in a line before'],
  ['no key of a witness', 'witness w\nquorum none\n', 'a witness has a name, a key'],
  ['a witness with two URLs', `witness w ${vkey('a')} a b\nquorum none\n`, 'a witness has a name, a key'],
  ['a witness with a log’s key', `witness w ${log}\nquorum none\n`, 'one of type 4 or 6'],
  [
    'one witness’s key under two names',
    `${two}witness w2 ${formatNoteKey(noteKey('alias.example', 4, softKey('w0.example').publicKey))}\nquorum none\n`,
    'line 3: its key stands in a line before',
  ],
  ['a name that is not text in a key', concat(utf8('witness w '), Uint8Array.of(0xff), utf8(`${vkey('a')}\nquorum none\n`)), 'UTF-8'],
  ['a name twice', `${two}witness w1 ${vkey('a')}\nquorum none\n`, 'the name w1 is taken'],
  ['a group’s name that is a witness’s', `${two}group w0 all w1\nquorum none\n`, 'the name w0 is taken'],
  ['a group that has the name of its member', `${two}group w0 all w0\nquorum none\n`, 'the name w0 is taken'],
  ['a witness called none', `witness none ${vkey('a')}\nquorum none\n`, 'the name none is taken'],
  ['a group called none', `${two}group none all w0 w1\nquorum none\n`, 'the name none is taken'],
  ['none as a member', `${two}group g any w0 none\nquorum g\n`, 'no line before it defines none'],
  ['a group of itself', `${two}group g any w0 g\nquorum g\n`, 'no line before it defines g'],
  ['a group without members', `${two}group g any\nquorum none\n`, 'one member at least'],
  ['a group without a threshold', `${two}group g\nquorum none\n`, 'one member at least'],
  ['a threshold of 0', `${two}group g 0 w0 w1\nquorum g\n`, 'from 1 to the number of members, 2'],
  ['a threshold above the members', `${two}group g 3 w0 w1\nquorum g\n`, 'from 1 to the number of members, 2'],
  ['a threshold that is no number', `${two}group g most w0 w1\nquorum g\n`, 'line 3: The threshold of a group'],
  ['a threshold with a leading zero', `${two}group g 02 w0 w1\nquorum g\n`, 'line 3: The threshold of a group'],
  ['a member twice', `${two}group g 2 w0 w0\nquorum g\n`, 'w0 is a member of a group already'],
  ['a member of two groups', `${two}group g any w0 w1\ngroup h any w1 g\nquorum h\n`, 'line 4: w1 is a member of a group already'],
])('no trust policy has %s', (_what, text, why) => {
  const act = () => parseTlogPolicy(typeof text === 'string' ? utf8(text) : text);
  expect(act).toThrow(expect.objectContaining({ code: 'MALFORMED', message: expect.stringContaining(why) }));
});
