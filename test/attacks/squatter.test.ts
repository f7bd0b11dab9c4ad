import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { VaultClient } from '../../client/vault-client.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { untilPasses } from '../harness/notarised-fleet.ts';
import { CODE, Overlap, stateAt, WRONG } from '../harness/overlap.ts';
import { quickHash } from '../harness/soft-client.ts';

// A fleet replaces another one. Before a user's record has moved there, somebody who is signed in to the account enrolls one of his own in its place.

let overlap: Overlap;

beforeAll(async () => {
  overlap = await Overlap.start();
  await overlap.enrolAtOld('frank');
  overlap.enforce();
});

afterAll(() => overlap?.stop());

test('the owner’s code is tried where it was enrolled, the app is told of two records, and the place is given back', async () => {
  const { fleet, tenant } = overlap.old.client;
  const policy = { limit: 5, coolDownMs: 0 };
  const squatter = { recordId: 'frank', code: WRONG, backupKey: new SecretBytes(randomBytes(32)), policy };
  const signedIn = { transport: overlap.fresh.open().transport, policy: overlap.notary.policy({ epochLeast: 2 }) };
  await untilPasses(() => new VaultClient({ ...signedIn, fleet, tenant, argon2id: quickHash }).enroll(squatter));

  const { backupKey, ...result } = await overlap.device().recover({ recordId: 'frank', code: CODE });
  expect(backupKey.expose()).toEqual(overlap.keyOf('frank').expose());
  expect(result).toMatchObject({ fleet: 'old', rival: 'contested', renewal: { state: 'failed', error: { code: 'OWNER_REFUSED' } } });
  expect([await stateAt(overlap.old, 'frank'), await stateAt(overlap.fresh, 'frank')]).toEqual([RecordState.LIVE, RecordState.LIVE]);

  const own = { recordId: 'frank', code: CODE, backupKey, policy };
  await expect(overlap.device().enroll(own)).rejects.toMatchObject({ code: 'OWNER_REFUSED' });
  await overlap.device().erase('frank', 'new');
  expect(await overlap.device().enroll(own)).toMatchObject({ epoch: 2, drained: { state: 'erased' } });
  expect(await overlap.device().recover({ recordId: 'frank', code: CODE })).toMatchObject({ fleet: 'new', rival: 'none' });
});
