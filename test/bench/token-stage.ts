import { createECDH, createHmac, randomBytes } from 'node:crypto';
import { newOprfKey } from '../../daemon/token/evaluate.ts';
import { closeQuietly, openReplica, type ReplicaLocation, type ReplicaToken } from '../../daemon/token/keys/replica.ts';
import { opened } from '../../daemon/token/keys/templates.ts';
import { openToken } from '../../daemon/token/open-token.ts';
import type { Argument } from '../../daemon/token/operations.ts';
import type { MacCheck, TokenPort } from '../../daemon/token/port.ts';
import type { Profile } from '../../daemon/token/profile.ts';
import { wrapSecret } from '../../daemon/token/stored.ts';
import { makeTestToken, pin, storedPin } from '../../daemon/token/testing.ts';
import { mac } from '../../daemon/token/verify.ts';
import { type CompressedPoint, parsePoint } from '../../protocol/point.ts';

/** What a replica asks of its token in one recovery, for a record made here. */
export interface Requests {
  readonly evaluate: Parameters<TokenPort['evaluate']>[0];
  readonly release: Argument<'release'>;
  /** Of a vote, or of a receipt. */
  readonly sign: Argument<'sign'>;
}

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
  const { profile, module, tokenLabel, fleet, index, epoch } = location;
  const token = openReplica(location, pin());
  const port = await openToken({ profile, module, tokenLabel, pin: storedPin, fleet, index, epoch });
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
  const point = randomPoint();
  const { publicKey, wrappedKey } = newOprfKey(token, point);
  const auth = randomBytes(32);
  const proofTranscript = randomBytes(32);
  return {
    evaluate: { epoch: token.set, mac: macOf(token), wrappedKey, publicKey, point },
    release: {
      epoch: token.set,
      mac: macOf(token),
      wrappedAuth: store(token, 'auth', auth),
      proofTranscript,
      proof: createHmac('sha256', auth).update(proofTranscript).digest(),
      wrappedRelease: store(token, 'release', randomBytes(32)),
      clientKey: randomPoint(),
      sessionTranscript: randomBytes(32),
    },
    sign: randomBytes(32),
  };
}

function randomPoint(): CompressedPoint {
  const key = createECDH('prime256v1');
  key.generateKeys();
  return parsePoint(key.getPublicKey(null, 'compressed'), 'a random point');
}

function macOf(token: ReplicaToken): MacCheck {
  const digest = randomBytes(32);
  return { digest, tag: mac(token, digest) };
}

function store(token: ReplicaToken, purpose: 'auth' | 'release', value: Uint8Array): Uint8Array {
  const { session, profile } = token;
  return session.withTemporary((keep) => wrapSecret(token, purpose, keep(session.create({ ...opened(purpose, profile), value }))));
}
