import { expect, test, vi } from 'vitest';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import { type ClientFlaw, real, withClient } from '../test/attacks/flawed-client.ts';
import { CODE, clientOf, enrolInput, RECORD } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';

const exchangeable = vi.hoisted(
  () => async (original: () => Promise<object>) => (await import('../test/attacks/flawed-client.ts')).exchangeable(await original()),
);
vi.mock('./curve.ts', exchangeable);
vi.mock('./derive.ts', exchangeable);
vi.mock('./oprf.ts', exchangeable);
vi.mock('./random-secret.ts', exchangeable);

// What is left in a device's memory is there for whoever takes the device. How far a garbage collector goes along, nobody can promise.

/** The secrets that a client makes, by what they are; in place of each a note of it. */
function watched() {
  const made: [name: string, SecretBytes][] = [];
  const note = <T extends SecretBytes>(name: string, secret: T): T => {
    made.push([name, secret]);
    return secret;
  };
  const flaw: ClientFlaw = {
    randomScalar: () => note('τ', real.randomScalar()),
    randomSecret: (length) => note(`${length} random bytes`, real.randomSecret(length)),
    baseScalar: (...args) => note('b', real.baseScalar(...args)),
    codeInput: (...args) => note('the OPRF’s input', real.codeInput(...args)),
    blind: (...args) => {
      const blinded = real.blind(...args);
      note('a blind', blinded.blind);
      return blinded;
    },
  };
  const left = () => made.filter(([, secret]) => secret.expose().some((byte) => byte !== 0)).map(([name]) => name);
  return { flaw, left, names: () => [...new Set(made.map(([name]) => name))].sort() };
}

const ENROLMENT = ['32 random bytes', 'a blind', 'the OPRF’s input', 'τ'];
const RECOVERY = ['32 random bytes', 'a blind', 'b', 'the OPRF’s input'];

test('what an enrolment needs alone is wiped once it succeeded', async () => {
  const { flaw, left, names } = watched();
  const client = clientOf(new SoftFleet());
  await withClient(flaw, () => client.enroll(enrolInput()));
  expect(names()).toEqual(ENROLMENT);
  expect(left()).toEqual([]);
});

test.each([true, false])('what a recovery needs alone is wiped once it succeeded, be the record renewed: %s', async (renew) => {
  const client = clientOf(new SoftFleet());
  await client.enroll(enrolInput());
  const { flaw, left, names } = watched();
  await withClient(flaw, () => client.recover({ recordId: RECORD, code: CODE, renew }));
  expect(names()).toEqual(renew ? [...RECOVERY, 'τ'] : RECOVERY);
  expect(left()).toEqual([]);
});
