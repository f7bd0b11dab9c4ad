import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { exactly } from '../../primitives/bytes.ts';
import { ForgetRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { EraseRecordRequest } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { G_LENGTH } from '../../protocol/body.ts';
import { eraseTranscript } from '../../protocol/transcripts.ts';
import type { Account } from '../vault/account.ts';
import { askAll } from './fan-out.ts';
import type { Fleet } from './fleet.ts';

const FORGET_GRACE: Millis = 500;

/** Erases on a tenant's word. Returns the replicas that dropped the generation at once; the others do when they start. */
export async function eraseRecord(fleet: Fleet, account: Account, request: EraseRecordRequest): Promise<number[]> {
  const { vault, events } = fleet;
  const g = exactly(G_LENGTH, request.g, 'g');
  const { rid } = account;
  const authorises = eraseTranscript(rid, g).digest;
  await vault.grants.verify(request.grant, { ...account, fleet: vault.statement.fleet, operation: 'erase', g, authorises });
  await vault.register.erase(rid, g);
  events.erased(rid, 'asked');
  return forgetEverywhere(fleet, rid);
}

export async function forgetEverywhere({ vault, participants }: Fleet, rid: Uint8Array): Promise<number[]> {
  const message = create(ForgetRequestSchema, { rid });
  const options = { enough: vault.statement.threshold, grace: FORGET_GRACE, clock: vault.clock };
  const { answers } = await askAll(participants, ({ calls }) => calls.forget(message), options);
  return [...answers.keys()].sort((a, b) => a - b);
}
