import { randomBytes } from 'node:crypto';
import { closeQuietly, openReplica, type ReplicaLocation, type ReplicaToken } from '../../daemon/token/keys/replica.ts';
import { openToken } from '../../daemon/token/open-token.ts';
import type { Argument, OperationName } from '../../daemon/token/operations.ts';
import type { TokenPort } from '../../daemon/token/port.ts';
import type { Profile } from '../../daemon/token/profile.ts';
import { multiple, signWith } from '../../daemon/token/reference.ts';
import { offer, prepare } from '../../daemon/token/steps.ts';
import { proofTranscript } from '../../protocol/transcripts.ts';
import { makeTestToken, pin, storedPin } from '../harness/test-token.ts';

/** What a replica asks of its token in one enrolment and one recovery, for a record made here. */
export type Requests = { readonly [Name in Extract<OperationName, 'offer' | 'prepare' | 'evaluate' | 'release' | 'sign'>]: Argument<Name> };

/** A provisioned software token, opened by this thread and, through the port, by a worker. */
export interface TokenStage {
  readonly location: ReplicaLocation;
  readonly token: ReplicaToken;
  readonly port: TokenPort;
  readonly requests: Requests;
  close(): Promise<void>;
}

/** Once per process (makeTestToken). Unless told, the module is not recycled (profile.ts): that would end the session of this thread. */
export async function openTokenStage(changes: Partial<Profile> = { recycleAfterObjects: Number.POSITIVE_INFINITY }): Promise<TokenStage> {
  const undo: (() => void)[] = [];
  const { location } = makeTestToken((remove) => undo.push(remove), changes);
  const token = openReplica(location, pin());
  const port = await openToken({ ...location, pin: storedPin });
  return {
    location,
    token,
    port,
    requests: makeRequests(token),
    close: async () => {
      closeQuietly(token.session); // a recycled module has closed it already
      await port.close();
      for (const step of undo) step();
    },
  };
}

function makeRequests(token: ReplicaToken): Requests {
  const { fleet, epoch } = token;
  const a = randomScalar();
  const [point, blindedBase, proofKey] = [multiple(randomScalar()), multiple(randomScalar()), multiple(a)];
  const name = { rid: randomBytes(32), g: randomBytes(16) };
  const [seed, bodyHash, enrolledAtMs] = [randomBytes(32), randomBytes(32), 1_700_000_000_000n];
  const asked = { ...name, point, proofKey, seed, nonce: randomBytes(16), expiresAtMs: enrolledAtMs, changes: 0n };
  const { evaluated, releaseElement } = offer(token, asked);
  const prepared = { ...name, previous: new Uint8Array(0), bodyHash, seed, enrolledAtMs, point, evaluated, releaseElement };
  const generation = { ...name, epoch, bodyHash, seed, enrolledAtMs, mac: prepare(token, prepared).mac };
  const attempt = 1;
  const proof = signWith(a, proofTranscript({ ...name, fleet, epoch }, attempt, point, blindedBase).digest);
  return {
    offer: asked,
    prepare: prepared,
    evaluate: { generation, point, attempt, limit: 10, used: 1 },
    release: { generation, proofKey, attempt, point, blindedBase, proof },
    sign: randomBytes(32),
  };
}

const randomScalar = (): bigint => BigInt(`0x${randomBytes(31).toString('hex')}`) + 2n;
