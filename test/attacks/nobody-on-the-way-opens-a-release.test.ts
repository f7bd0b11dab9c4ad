import { p256 } from '@noble/curves/nist.js';
import { describe, expect, test, vi } from 'vitest';
import { VaultClient } from '../../client/vault-client.ts';
import { toHex } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import {
  BeginRecoveryRequestSchema,
  FinishEnrollmentRequestSchema,
  FinishRecoveryRequestSchema,
} from '../../proto/gen/backupvault/v1/vault_pb.ts';
import type { Body } from '../../protocol/body.ts';
import { CODE, enrolInput, InstantClock, quickHash, RECORD } from '../harness/soft-client.ts';
import { SoftFleet } from '../harness/soft-fleet.ts';
import { byteStringsIn } from './evidence.ts';
import { type ClientFlaw, withClient } from './flawed-client.ts';
import { overheard } from './recorder.ts';
import { keyUnder, tweak, under } from './token-use.ts';

const exchangeable = vi.hoisted(
  () => async (original: () => Promise<object>) => (await import('./flawed-client.ts')).exchangeable(await original()),
);
vi.mock('../../client/curve.ts', exchangeable);
vi.mock('../../client/derive.ts', exchangeable);

// A share of R is hidden behind D_i = x(r·t_r·T), and T stands in the body. If a client had a holder compute that, the value would lie in
// the daemon's memory and pass coordinator and frontend. It has B = b·T multiplied, and takes b away by itself.

const ONE = () => new SecretBytes(new Uint8Array(32).with(31, 1));
const MINUS_ONE = () => new SecretBytes(Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550', 'hex'));

/** The only scalar that a client draws by this function is τ; b it makes of the blind's secret. */
const tauIs = (tau: () => SecretBytes): ClientFlaw => ({ randomScalar: tau });
const baseIs = (b: () => SecretBytes): ClientFlaw => ({ baseScalar: b });

/** Everything that is seen outside the client in an enrolment and a recovery, but for what tokens compute within. */
function listen() {
  const fleet = new SoftFleet();
  const heard: Uint8Array[] = [];
  const { name, policy } = fleet;
  const transport = overheard(fleet, ({ message }) => heard.push(...byteStringsIn(message)));
  const client = new VaultClient({
    transport,
    policy,
    fleet: name,
    tenant: SoftFleet.tenant,
    clock: new InstantClock(),
    argon2id: quickHash,
  });
  return { fleet, client, heard };
}

/** What hosts compute on the way to the token's derivation: under the tweak alone. */
function seenByHosts(fleet: SoftFleet, body: Body): Uint8Array[] {
  const { blindedBase } = fleet.lastReceived('finishRecovery', FinishRecoveryRequestSchema);
  const { point } = fleet.lastReceived('beginRecovery', BeginRecoveryRequestSchema);
  return fleet.replicas.flatMap((replica) => {
    const { seed } = replica.stateOf(body.g);
    const [oprf, release] = (['oprf', 'release'] as const).map((use) => tweak(replica.token, use, body, seed)) as [Uint8Array, Uint8Array];
    const r = replica.entry().release_key;
    return [under(oprf)(point), under(release)(blindedBase), under(release)(Buffer.from(r, 'hex')), seed, oprf, release] as Uint8Array[];
  });
}

/** D_i of each holder, were this T. */
const opening = (fleet: SoftFleet, body: Body, base: Uint8Array = body.releaseBase): string[] =>
  fleet.replicas.map(({ index, token }) => {
    const { seed } = fleet.replica(index).stateOf(body.g);
    return toHex(under(keyUnder(token, 'release', body, seed))(base) as Uint8Array);
  });

/** Which holders' D_i was seen. A point counts by its x. */
const seenOf = (seen: readonly Uint8Array[], wanted: readonly string[]): number[] => {
  const xs = new Set(seen.map((bytes) => toHex(bytes.length === 33 ? bytes.slice(1) : bytes)));
  return wanted.flatMap((d, i) => (xs.has(d) ? [i + 1] : []));
};

describe('what hides a share of R', () => {
  async function recover(flaw: ClientFlaw): Promise<number[]> {
    const { fleet, client, heard } = listen();
    await withClient(flaw, async () => {
      await client.enroll(enrolInput());
      await client.recover({ recordId: RECORD, code: CODE, renew: false });
    });
    const { body } = fleet.bodyOf(RECORD);
    return seenOf([...heard, ...seenByHosts(fleet, body)], opening(fleet, body));
  }

  test('is seen by no host, coordinator or frontend', async () => {
    expect(await recover({})).toEqual([]);
  });
  test.each([
    ['b = 1', ONE],
    ['b = −1', MINUS_ONE],
  ])('would be seen if a client had %s', async (_, b) => {
    expect(await recover(baseIs(b))).toEqual([1, 2, 3]);
  });
});

describe('a release base of ±G', () => {
  const { BASE } = p256.Point;

  test('would be opened by the offers, which name x(r·t_r·G)', async () => {
    const { fleet, client, heard } = listen();
    await client.enroll(enrolInput());
    for (const base of [BASE, BASE.negate()])
      expect(seenOf(heard, opening(fleet, fleet.bodyOf(RECORD).body, base.toBytes()))).toEqual([1, 2, 3]);
  });

  test.each([
    ['G', ONE, BASE],
    ['−G', MINUS_ONE, BASE.negate()],
  ])('is refused by client and vault, be it %s', async (_, tau, base) => {
    const { fleet, client } = listen();
    await expect(withClient(tauIs(tau), () => client.enroll(enrolInput()))).rejects.toMatchObject({ code: 'MALFORMED' });
    await client.enroll(enrolInput());
    const request = fleet.lastReceived('finishEnrollment', FinishEnrollmentRequestSchema);
    Object.assign(request.body as object, { releaseBase: base.toBytes() });
    await expect(fleet.finishEnrollment(request)).rejects.toMatchObject({ code: 'MALFORMED' });
  });
});
