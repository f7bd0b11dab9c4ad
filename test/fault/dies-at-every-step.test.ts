import { readFileSync } from 'node:fs';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { everyAccount } from '../../cli/every-account.ts';
import { VaultClient } from '../../client/vault-client.ts';
import type { FaultPoint } from '../../daemon/fault-point.ts';
import { GrantSigner } from '../../frontend/grant-signer.ts';
import { frontendTransport } from '../../frontend/transport.ts';
import { VaultConnection } from '../../frontend/vault-connection.ts';
import { fromHex } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { quickHash } from '../harness/soft-client.ts';
import { FaultFleet } from './fault-fleet.ts';

// Replica 1, which coordinates, is killed at one step after the other. What the device then does by itself is to send the same bytes
// again, to another replica: nothing more may be spent by it, and no other generation begun.

let fleet: FaultFleet;
const deaths: (FaultPoint | undefined)[] = [];

beforeAll(async () => {
  fleet = await FaultFleet.start({ progress: () => {}, onStart: () => {}, onEnd: (_, diedAt) => deaths.push(diedAt) });
});

afterAll(async () => {
  await fleet?.stop();
});

/** A device whose frontend asks replica 1 first. */
function openDevice(): VaultClient {
  const { fleet: name, tenant, tls, grant, statement_hashes } = fleet.dev.client;
  const pem = (file: string) => readFileSync(file, 'utf8');
  const connection = new VaultConnection({ addresses: fleet.addresses, tls: { ca: pem(tls.ca), cert: pem(tls.cert), key: pem(tls.key) } });
  const signer = new GrantSigner({ kid: grant.kid, pem: pem(grant.key) });
  const policy = { kind: 'pinned', statementHashes: statement_hashes.map((hash) => fromHex(hash, 'statement_hashes')) } as const;
  const transport = everyAccount((account) => frontendTransport({ connection, signer, fleet: name, tenant, account }));
  onTestFinished(() => connection.close());
  return new VaultClient({ transport, policy, fleet: name, tenant, argon2id: quickHash });
}

const CODE = 'correct horse battery staple';

/** An enrolment, a wrong code, the right one: one generation, two attempts. */
async function useOnce(device: VaultClient, recordId: string): Promise<void> {
  const backupKey = new SecretBytes(randomBytes(32));
  const { g } = await device.enroll({ recordId, code: CODE, backupKey, policy: { limit: 3, coolDownMs: 0 } });
  await expect(device.recover({ recordId, code: 'a wrong code of some length' })).rejects.toMatchObject({ code: 'WRONG_CODE' });
  const recovered = await device.recover({ recordId, code: CODE, renew: false });
  expect(recovered.backupKey.expose()).toEqual(backupKey.expose());
  const register = await fleet.dev.store.attempts(fleet.dev.rid(recordId));
  expect(register?.g).toEqual(g);
  expect(register?.number).toBe(1n);
  expect(register?.points).toHaveLength(2);
}

const steps: [FaultPoint, number][] = [
  ['before-commit', 1],
  ['after-commit', 1],
  ['before-commit', 2],
  ['after-commit', 2],
  ['before-guard-write', 3], // the start takes some
  ['before-guard-write', 5],
  ['between-guard-and-mark', 4],
  ['after-guard-write', 4],
  ['before-vote-reply', 1],
  ['before-evaluate', 1],
  ['before-reply', 2], // FinishEnrollment
  ['before-reply', 4], // BeginRecovery
  ['before-reply', 7], // FinishRecovery
];

test.each(steps)('a coordinator that dies %s, time %i, costs nothing', async (point, nth) => {
  deaths.length = 0;
  await fleet.replica(1).kill(0, { point, nth });
  await vi.waitFor(() => fleet.serving(), 120_000);
  const device = openDevice();
  for (let i = 1; deaths.length === 0 && i <= 5; i++) await useOnce(device, `${point}-${nth}-${i}`);
  expect(deaths).toEqual([point]);
});
