import { randomBytes } from 'node:crypto';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { adopt } from './adopt.ts';
import { evaluate, newOprfKey } from './evaluate.ts';
import type { ReplicaToken } from './keys/replica.ts';
import { operations } from './operations.ts';
import { hmac, multiple, multiply, ReferenceClient } from './reference.ts';
import { release } from './release.ts';
import { mac } from './verify.ts';

// For tests: one record's share of one replica, with the device played by software.

export type Enrolled = ReturnType<typeof enrol>;

/** Enrols a record under the keys in force. */
export function enrol(token: ReplicaToken, epoch: number) {
  const client = new ReferenceClient(token.profile.sessionSuite);
  const [digest, auth, share, a, b] = Array.from({ length: 5 }, () => new Uint8Array(randomBytes(32))) as [
    Random,
    Random,
    Random,
    Random,
    Random,
  ];
  const point = multiple(2n);
  const { publicKey, wrappedKey, evaluated } = newOprfKey(token, point);
  const check = { digest, tag: mac(token, digest) };
  const seal = (sessionTranscript: Uint8Array, secret: Uint8Array) => ({
    sessionTranscript,
    sealed: client.seal(token.identity.sessionKey, sessionTranscript, secret),
  });
  const stored = { wrappedKey, publicKey };
  const blobs = adopt(token, {
    ticket: check,
    clientKey: client.publicKey,
    auth: seal(a, auth),
    release: seal(b, share),
    ...stored,
    point,
    evaluated,
  });
  return { client, auth, share, evaluate: { epoch, mac: check, ...stored, point: multiple(3n) }, release: { epoch, mac: check, ...blobs } };
}

type Random = Uint8Array<ArrayBuffer>;

/** Evaluates, verifies the MAC alone, and releases: the share, as the device has it then. */
export function recover(token: ReplicaToken, { client, auth, ...record }: Enrolled): Uint8Array {
  const evaluated = evaluate(token, record.evaluate);
  if (!constantTimeEqual(evaluated, multiply(record.evaluate.publicKey, 3n))) throw new Error('evaluated wrongly');
  operations.verifyMac(token, { epoch: record.evaluate.epoch, ...record.evaluate.mac });
  const [proofTranscript, sessionTranscript] = [randomBytes(32), randomBytes(32)];
  const proof = hmac(auth, proofTranscript);
  const sealed = release(token, { ...record.release, proofTranscript, proof, clientKey: client.publicKey, sessionTranscript });
  return client.open(token.identity.sessionKey, sessionTranscript, sealed);
}
