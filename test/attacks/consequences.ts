import { createHash, createHmac } from 'node:crypto';
import { concat, uint64, utf8, xor } from '../../primitives/bytes.ts';
import { Transcript } from '../../protocol/transcript.ts';
import {
  authTranscript,
  commitTranscript,
  maskTranscript,
  ownerTranscript,
  payloadTranscript,
  proofTranscript,
  rehearsalTranscript,
  stretchTranscript,
} from '../../protocol/transcripts.ts';
import type { Evidence, Guess } from './attacker.ts';

// What somebody with t - 1 replicas' state can compute from a candidate. By Node's own hashes: the client uses others.

export interface Consequence {
  readonly name: string;
  readonly value: Uint8Array;
}

export const sha256 = (...parts: readonly Uint8Array[]): Uint8Array => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
};

export const hmac = (key: Uint8Array, message: Uint8Array): Uint8Array =>
  new Uint8Array(createHmac('sha256', key).update(message).digest());

const NO_SALT = new Uint8Array(32);
const extract = (secret: Uint8Array) => hmac(NO_SALT, secret);
const expand = (prk: Uint8Array, info: Uint8Array) => hmac(prk, concat(info, Uint8Array.of(1)));
export const hkdf = (secret: Uint8Array, info: Uint8Array): Uint8Array => expand(extract(secret), info);

const named = (name: string, value: Uint8Array): Consequence => ({ name, value });

/** What the code gives without any replica. */
export const ownRoots = ({ code, input, element }: Guess): Consequence[] => [
  named('code', utf8(code)),
  named('input', input),
  named('element', element.toBytes()),
];

/** What it gives with the keys of t - 1 replicas: evaluations, and outputs. */
export const outputRoots = ({ points, outputs }: Guess): Consequence[] => [
  ...points.map((point, i) => named(`point ${i}`, point)),
  ...outputs.map((output, i) => named(`y of hostile ${i}`, output)),
  named('every y', concat(...outputs)),
  named(
    'xor of the y',
    outputs.reduce((a, b) => xor(a, b)),
  ),
];

/** What the record gives to whoever has the outputs. */
export const shareRoots = ({ keys, shares, secret }: Guess): Consequence[] => [
  ...keys.map((key, i) => named(`mask key of hostile ${i}`, key)),
  ...shares.map(({ y }, i) => named(`share of hostile ${i}`, y)),
  named('s of t−1 shares', secret),
];

export const rootsOf = (guess: Guess): Consequence[] => [...ownRoots(guess), ...outputRoots(guess), ...shareRoots(guess)];

/** The info of each HKDF label of the protocol. */
function infosOf({ body: { rid, g, shares } }: Evidence): Consequence[] {
  return [
    ...shares.flatMap(({ index }) => [
      named(`mask ${index}`, maskTranscript(rid, g, index).digest),
      named(`auth ${index}`, authTranscript(rid, g, index).digest),
    ]),
    named('payload', payloadTranscript(rid, g).digest),
    named('owner', ownerTranscript(rid).digest),
    named('rehearsal', rehearsalTranscript(rid).digest),
  ];
}

export function hashesOf(roots: readonly Consequence[]): Consequence[] {
  return roots.flatMap(({ name, value }) => {
    const once = sha256(value);
    return [named(`SHA-256(${name})`, once), named(`SHA-256²(${name})`, sha256(once))];
  });
}

export function hkdfsOf(roots: readonly Consequence[], evidence: Evidence): Consequence[] {
  const infos = infosOf(evidence);
  return roots.flatMap(({ name, value }) => {
    const prk = extract(value);
    return [named(`HKDF-Extract(${name})`, prk), ...infos.map((info) => named(`HKDF(${name}, ${info.name})`, expand(prk, info.value)))];
  });
}

const LABELS = ['mask', 'auth', 'payload', 'owner', 'rehearsal', 'commit', 'proof', 'session', 'point', 'stretch', 'record', 'body'];

/** Together with something that is public: any short byte string of the traffic, or what the protocol hashes. */
export function mixturesOf(roots: readonly Consequence[], evidence: Evidence): Consequence[] {
  const { body, traffic } = evidence;
  const salts = [...traffic, body.ownerKey, body.commit, stretchTranscript(body.fleet, body.rid).digest];
  const short = salts.filter(({ length }) => length >= 8 && length <= 33);
  const distinct = [...new Map(short.map((salt) => [Buffer.from(salt).toString('latin1'), salt])).values()];
  const publics = [...distinct, ...body.shares.flatMap(({ index }) => [Uint8Array.of(index), uint64(index)]), ...LABELS.map(utf8)];
  return roots.flatMap(({ name, value }) => [
    ...publics.flatMap((salt, i) => [
      named(`HMAC(${name}, public ${i})`, hmac(value, salt)),
      named(`HMAC(public ${i}, ${name})`, hmac(salt, value)),
      named(`SHA-256(${name} ‖ public ${i})`, sha256(value, salt)),
      named(`SHA-256(public ${i} ‖ ${name})`, sha256(salt, value)),
    ]),
    ...LABELS.map((label) => named(`transcript ${label} of ${name}`, new Transcript(label, value).digest)),
  ]);
}

/** Whatever might serve a careless client as a key, of 32 bytes. */
export const keysOf = (roots: readonly Consequence[], evidence: Evidence): Consequence[] =>
  [...roots, ...hashesOf(roots), ...hkdfsOf(roots, evidence)].filter(({ value }) => value.length === 32);

const keys = new WeakMap<Guess, Consequence[]>();

/** Of all roots. */
export function allKeysOf(guess: Guess, evidence: Evidence): Consequence[] {
  const known = keys.get(guess) ?? keysOf(rootsOf(guess), evidence);
  keys.set(guess, known);
  return known;
}

/** Of every replica: of the honest ones, too. */
export function proofsUnder(keys: readonly Consequence[], { body: { fleet, epoch, rid, g, shares }, finish }: Evidence): Consequence[] {
  const digests = shares.map(
    ({ index }) => proofTranscript({ fleet, epoch, index, rid, g }, finish.attempt, finish.point, finish.clientKey).digest,
  );
  return keys.flatMap(({ name, value }) => digests.map((digest, i) => named(`proof ${i} under ${name}`, hmac(value, digest))));
}

/** `commit` of the body, for each s. */
export function commitsOf(secrets: readonly Consequence[], body: Evidence['body']): Consequence[] {
  const { preimage } = commitTranscript(new Uint8Array(32), body);
  const at = 4 + 'bkv/v1/commit'.length + 4;
  return secrets.map(({ name, value }) => named(name, sha256(preimage.subarray(0, at), value, preimage.subarray(at + 32))));
}
