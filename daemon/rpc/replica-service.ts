import type { Handlers } from '../../grpc/bridge.ts';
import type { ReplicaService } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { Participant } from '../replica/participant.ts';

/** What peers call: the same calls that this replica makes to itself when it coordinates. */
export const replicaService = ({ calls }: Participant): Handlers<typeof ReplicaService, void> => calls;
