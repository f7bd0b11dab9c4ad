import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { toHex } from '../primitives/bytes.ts';
import { CODE, enrolInput, InstantClock, quickHash, RECORD } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';
import { type Argon2id, memoryFor } from './stretch.ts';
import { VaultClient } from './vault-client.ts';

/** A device that notes what it stretches. */
function noting(fleet: SoftFleet) {
  const stretched: { password: string; salt: string; memoryKiB: number }[] = [];
  let [underWay, most] = [0, 0];
  const argon2id: Argon2id = async (request) => {
    const { password, salt, memoryKiB } = request;
    stretched.push({ password: toHex(password), salt: toHex(salt), memoryKiB });
    most = Math.max(most, ++underWay);
    await nextTurn();
    underWay--;
    return quickHash(request);
  };
  const { name, policy } = fleet;
  const client = new VaultClient({ transport: fleet, policy, fleet: name, tenant: SoftFleet.tenant, clock: new InstantClock(), argon2id });
  const mostAtOnce = () => {
    const seen = most;
    most = 0;
    return seen;
  };
  return { client, stretched, mostAtOnce };
}

const distinct = (values: readonly string[]) => new Set(values).size;

test('nothing can be stretched before the breach: of one code, each replica’s answer for each generation is another', async () => {
  const fleet = new SoftFleet();
  const input = enrolInput();
  const { client, stretched } = noting(fleet);
  for (let i = 0; i < 2; i++) await client.enroll(input);
  expect(stretched).toHaveLength(2 * fleet.statement.replicas.length);
  for (const field of ['password', 'salt'] as const) expect(distinct(stretched.map((each) => each[field]))).toBe(stretched.length);
});

test.each([3, 5, 9])('of %i holders the client stretches the answers at once, each at the cost for as many', async (replicas) => {
  const fleet = new SoftFleet({ replicas });
  const { client, stretched, mostAtOnce } = noting(fleet);
  await client.enroll(enrolInput());
  expect(mostAtOnce()).toBe(replicas);
  const enrolled = stretched.splice(0);
  await client.recover({ recordId: RECORD, code: CODE, renew: false });
  expect(mostAtOnce()).toBe(replicas);
  expect(new Set(stretched.map(({ password, salt }) => password + salt))).toEqual(
    new Set(enrolled.map(({ password, salt }) => password + salt)),
  );
  expect(stretched).toHaveLength(replicas);
  expect(new Set(stretched.map(({ memoryKiB }) => memoryKiB))).toEqual(new Set([memoryFor(replicas)]));
});
