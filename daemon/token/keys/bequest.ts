import { randomBytes } from 'node:crypto';
import { constantTimeEqual } from '../../../primitives/bytes.ts';
import { VaultError } from '../../../primitives/errors.ts';
import { adopt } from '../adopt.ts';
import { evaluateStored, newOprfKey } from '../evaluate.ts';
import { hmac, multiple, multiply, ReferenceClient } from '../reference.ts';
import { unwrapStored } from '../stored.ts';
import { mac, requireMac, requireProof } from '../verify.ts';
import { type Bequest, bequestDigest, type Heir, NOTHING, type WrappedKeys } from './heir-files.ts';
import type { ReplicaToken, StorageToken } from './replica.ts';

/** The keys in force, wrapped for the heir, with something stored by them: what the heir reads, it reads of every record. */
export function makeBequest(token: ReplicaToken, { fleet, index, hash }: Heir, keys: WrappedKeys): Bequest {
  const client = new ReferenceClient(token.profile.sessionSuite);
  const [ticket, auth, share, ofAuth, ofShare] = Array.from({ length: 5 }, () => randomBytes(32)) as [
    Buffer,
    Buffer,
    Buffer,
    Buffer,
    Buffer,
  ];
  const point = multiple(2n);
  const oprf = newOprfKey(token, point);
  const seal = (sessionTranscript: Buffer, secret: Buffer) => ({
    sessionTranscript,
    sealed: client.seal(token.identity.sessionKey, sessionTranscript, secret),
  });
  const { wrappedAuth, wrappedRelease } = adopt(token, {
    ticket: { digest: ticket, tag: mac(token, ticket) },
    clientKey: client.publicKey,
    ...{ auth: seal(ofAuth, auth), release: seal(ofShare, share) },
    ...{ ...oprf, point },
  });
  const { wrappedKey, publicKey } = oprf;
  const check = { oprf: { wrappedKey, publicKey }, auth: wrappedAuth, release: wrappedRelease, tag: NOTHING, proof: NOTHING };
  const bequest = { fleet, index, set: token.set, heir: hash, keys, check };
  const digest = bequestDigest(bequest);
  return { ...bequest, check: { ...check, tag: mac(token, digest), proof: hmac(auth, digest) } };
}

/** Reads what the bequest has for that with the keys that it brought. Throws what reading throws. */
export function checkBequest(token: StorageToken, bequest: Bequest): void {
  const { oprf, auth, release, tag, proof } = bequest.check;
  const digest = bequestDigest(bequest);
  requireMac(token, { digest, tag }, 'MAC_REFUSED');
  const evaluated = evaluateStored(token, oprf.wrappedKey, oprf.publicKey, multiple(3n));
  if (!constantTimeEqual(evaluated, multiply(oprf.publicKey, 3n)))
    throw new VaultError('TOKEN_FAULT', 'The OPRF key of the bequest evaluates wrongly.');
  token.session.withTemporary((keep) => {
    requireProof(token, keep(unwrapStored(token, 'auth', auth)), digest, proof);
    keep(unwrapStored(token, 'release', release));
  });
}
