import { expect, test, vi } from 'vitest';
import { proofKey } from '../../client/derive.ts';
import type { Argon2id } from '../../client/stretch.ts';
import { VaultClient } from '../../client/vault-client.ts';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import type { Body } from '../../protocol/body.ts';
import { CODE, enrolInput, InstantClock, RECORD } from '../harness/soft-client.ts';
import { SoftFleet } from '../harness/soft-fleet.ts';
import { candidateOf, guess } from './attacker.ts';
import { hmac } from './consequences.ts';
import { type ClientFlaw, real, withClient } from './flawed-client.ts';
import { inverse, keyUnder, lifted, outputOf, product, tweak, under } from './token-use.ts';

vi.mock('../../client/derive.ts', async (original) => (await import('./flawed-client.ts')).exchangeable(await original<object>()));

// Where tweaks of t replicas were copied, an evaluation for one record becomes one for another by a multiplication. A guess must
// still be evaluated for each record by itself: the OPRF's input names the record.

const OTHER = 'account-2';

/** An app's, which forgets the salt. */
const saltless: Argon2id = async ({ password }) => hmac(new Uint8Array(32), password) as Uint8Array<ArrayBuffer>;

/** Evaluates CODE for one record at t replicas, and tries the evaluations on another record that has the same code. */
async function tryOnAnother(flaw: ClientFlaw): Promise<{ first: boolean; second: boolean }> {
  return withClient(flaw, async () => {
    const fleet = new SoftFleet();
    const { name, policy } = fleet;
    const options = { transport: fleet, policy, fleet: name, tenant: SoftFleet.tenant, clock: new InstantClock(), argon2id: saltless };
    for (const recordId of [RECORD, OTHER]) await new VaultClient(options).enroll(enrolInput({ recordId }));
    const [first, second] = [fleet.bodyOf(RECORD).body, fleet.bodyOf(OTHER).body];
    const tokens = fleet.replicas.slice(0, 2).map(({ token }) => token);
    const seedOf = (index: number, { g }: Body) => fleet.replica(index).stateOf(g).seed;

    const { element } = await candidateOf(CODE, name, first.rid);
    const evaluated = tokens.map(
      (token) => under(keyUnder(token, 'oprf', first, seedOf(token.index, first)))(element.toBytes()) as Uint8Array,
    );
    const moved = evaluated.map((x, i) => {
      const token = tokens[i] as (typeof tokens)[number];
      const [from, to] = [first, second].map((body) => tweak(token, 'oprf', body, seedOf(token.index, body))) as [Uint8Array, Uint8Array];
      return under(product(to, inverse(from)))(lifted(x)) as Uint8Array;
    });
    const opens = async (body: Body, xs: readonly Uint8Array[]) => {
      const candidate = await candidateOf(CODE, name, body.rid);
      const outputs = xs.map((x) => outputOf(candidate.input, x));
      const { secret } = await guess({ ...candidate, outputs, xs: [] }, { body, open: tokens }, saltless);
      return constantTimeEqual(proofKey(secret, body.rid, body.g), body.proofKey);
    };
    return { first: await opens(first, evaluated), second: await opens(second, moved) };
  });
}

test('also where tweaks were copied', async () => {
  expect(await tryOnAnother({})).toEqual({ first: true, second: false });
});

test('as it would not if the input did not name the record', async () => {
  const nameless: ClientFlaw = { codeInput: (code, fleet) => real.codeInput(code, fleet, new Uint8Array(32)) };
  expect(await tryOnAnother(nameless)).toEqual({ first: true, second: true });
});
