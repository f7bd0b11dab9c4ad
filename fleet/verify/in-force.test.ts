import { beforeAll, describe, expect, test } from 'vitest';
import { utf8 } from '../../primitives/bytes.ts';
import { softStatement } from '../../test/harness/test-witness.ts';
import { makeParty, type Party } from '../../test/trust/parties.ts';
import { signSmime } from '../produce/cms.ts';
import { signInForce } from '../produce/in-force.ts';
import { parseCertificate } from './certificate.ts';
import type { CheckCode } from './check-codes.ts';
import { readHistory } from './history.ts';
import { type OperatorAuthorities, parseInForce } from './in-force.ts';

const NOW = Date.UTC(2026, 0, 10);
const DAY = 24 * 3600 * 1000;
const validity = { notBefore: new Date(NOW - DAY), notAfter: new Date(NOW + DAY) };
const first = softStatement();
const second = softStatement(first);
const third = softStatement(second);
const foreign = softStatement(undefined, { fleet: 'other' });
let operator: Party;
let stranger: Party;
let operators: OperatorAuthorities;

beforeAll(async () => {
  [operator, stranger] = [await makeParty('operator', validity), await makeParty('stranger', validity)];
  operators = new Map([
    ['test', [parseCertificate(operator.ca)]],
    ['other', [parseCertificate(stranger.ca)]],
  ]);
});

type Named = Parameters<typeof signInForce>[0];
const enforced = (statement: Named, { from = NOW, by = operator, at = NOW } = {}) => utf8(signInForce(statement, from, by.signer, at));
const read = (...entries: Uint8Array[]) => readHistory(entries, operators);
const refused = (check: CheckCode, index?: number) =>
  expect.objectContaining({
    code: 'FLEET_UNTRUSTED',
    ...(index === undefined ? {} : { message: expect.stringMatching(new RegExp(`^Entry ${index}: `)) }),
    details: { check },
  });

test('what an operator puts in force is part of a log’s history', () => {
  const { statements, inForce } = read(first.bytes, enforced(first), second.bytes, enforced(second, { from: NOW + 1500 }));
  expect(statements).toHaveLength(2);
  expect(inForce).toMatchObject([
    { fleet: 'test', epoch: 1, refuseOlderFrom: NOW },
    { fleet: 'test', epoch: 2, refuseOlderFrom: NOW + 1000 },
  ]);
});

test('an epoch may be left out, and the time of the same one be brought forward', () => {
  const epochs = [first.bytes, second.bytes, third.bytes];
  expect(() => read(...epochs, enforced(first), enforced(third))).not.toThrow();
  const later = enforced(second, { from: NOW + DAY });
  expect(read(...epochs, later, enforced(second)).inForce.map(({ refuseOlderFrom }) => refuseOlderFrom)).toEqual([NOW + DAY, NOW]);
});

describe('refused is', () => {
  test.each<[string, CheckCode, () => Uint8Array[]]>([
    ['an epoch whose statement is not in the log', 'in-force-refused', () => [first.bytes, enforced(second)]],
    ['an epoch whose statement comes later', 'in-force-refused', () => [first.bytes, enforced(second), second.bytes]],
    ['the statement of another epoch', 'in-force-refused', () => [first.bytes, enforced({ ...first, epoch: 2 } as Named)]],
    ['the statement of another fleet', 'in-force-refused', () => [foreign.bytes, enforced({ ...foreign, fleet: 'test' } as Named)]],
    ['a stranger who signs for the fleet', 'certificate-untrusted', () => [first.bytes, enforced(first, { by: stranger })]],
    ['the operator of another fleet', 'certificate-untrusted', () => [foreign.bytes, enforced(foreign)]],
    [
      'a signature from when the certificate had run out',
      'certificate-expired',
      () => [first.bytes, enforced(first, { at: NOW + 2 * DAY })],
    ],
    ['one that was changed', 'statement-tampered', () => [first.bytes, changed(enforced(first))]],
    ['one that is no S/MIME', 'bundle-malformed', () => [first.bytes, utf8('in force')]],
    ['one of other words', 'in-force-refused', () => [first.bytes, utf8(signSmime(utf8('{"type":"x"}'), operator.signer, NOW))]],
    ['a statement in its place', 'in-force-refused', () => [first.bytes, utf8(signSmime(first.bytes, operator.signer, NOW))]],
  ])('%s', (_what, check, entries) => {
    expect(() => read(...entries())).toThrow(refused(check, 1));
  });

  test('an older epoch than the one in force, and the same with a later time or none earlier', () => {
    const log = [first.bytes, second.bytes, enforced(second)];
    expect(() => read(...log, enforced(first, { from: NOW - DAY }))).toThrow(refused('in-force-refused', 3));
    expect(() => read(...log, enforced(second, { from: NOW + DAY }))).toThrow(refused('in-force-refused', 3));
    expect(() => read(...log, enforced(second))).toThrow(refused('in-force-refused', 3));
  });

  test('any of them, where nothing is known of the fleet’s operator', () => {
    expect(() => readHistory([first.bytes, enforced(first)], new Map())).toThrow(refused('certificate-untrusted', 1));
  });

  test('a document with more in it, or not in canonical form', () => {
    const signed = (text: string) => utf8(signSmime(utf8(text), operator.signer, NOW));
    const right = new TextDecoder().decode(parseInForce(enforced(first)).layer.content);
    for (const text of [
      right.replace('{', '{ '),
      right.replace('{', '{"also":1,'),
      right.replace('"test"', '"Test"'),
      right.replace(':1,', ':0,'),
    ])
      expect(() => parseInForce(signed(text)), text).toThrow(refused('in-force-refused'));
    expect(parseInForce(signed(right))).toMatchObject({ epoch: 1 });
  });
});

test('an operator whose authority was replaced is known by both', async () => {
  const successor = await makeParty('successor', validity);
  const both = new Map([['test', [parseCertificate(operator.ca), parseCertificate(successor.ca)]]]);
  const entries = [first.bytes, enforced(first), second.bytes, enforced(second, { by: successor })];
  expect(readHistory(entries, both).inForce).toHaveLength(2);
});

/** A letter of the document becomes another; the signature stays. */
function changed(entry: Uint8Array): Uint8Array {
  const [header, body] = new TextDecoder().decode(entry).split('\n\n') as [string, string];
  const der = Buffer.from(body, 'base64');
  der[der.indexOf('"epoch":1') + 8] = '2'.charCodeAt(0);
  return utf8(`${header}\n\n${(der.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n`);
}
