import { createECDH, createHash, createHmac } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { concat, uint64, utf8, xor } from '../../primitives/bytes.ts';
import type { Body } from '../../protocol/body.ts';
import { Transcript } from '../../protocol/transcript.ts';
import {
  maskTranscript,
  ownerTranscript,
  payloadTranscript,
  proofKeyTranscript,
  rehearsalTranscript,
  releaseMaskTranscript,
} from '../../protocol/transcripts.ts';
import type { Evidence, Guess } from './attacker.ts';

// What can be computed from a candidate. By Node's own hashes: the client uses others.

const { Point } = p256;

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

/** What the code gives without any replica. Elements are by their x: each stands for itself and its negative. */
export const ownRoots = ({ code, input, element }: Guess): Consequence[] => [
  named('code', utf8(code)),
  named('input', input),
  named('element', element.toBytes().slice(1)),
];

/** What it gives with keys at hand: products, and outputs of open replicas. */
export const outputRoots = ({ xs, outputs }: Guess): Consequence[] => [
  ...xs.map((x, i) => named(`product ${i}`, x)),
  ...outputs.map((output, i) => named(`y of open ${i}`, output)),
  named('every y', concat(...outputs)),
  named(
    'xor of the y',
    outputs.reduce((a, b) => xor(a, b)),
  ),
];

/** What the record gives to whoever has the outputs. */
export const shareRoots = ({ keys, shares, secret }: Guess): Consequence[] => [
  ...keys.map((key, i) => named(`mask key of open ${i}`, key)),
  ...shares.map(({ y }, i) => named(`share of open ${i}`, y)),
  named('s of t−1 shares', secret),
];

export const rootsOf = (guess: Guess): Consequence[] => [...ownRoots(guess), ...outputRoots(guess), ...shareRoots(guess)];

/** The info of each HKDF label of the protocol. */
function infosOf({ body: { rid, g, shares } }: Evidence): Consequence[] {
  return [
    ...shares.flatMap(({ index }) => [named(`release mask ${index}`, releaseMaskTranscript(rid, g, index).digest)]),
    named('payload', payloadTranscript(rid, g).digest),
    named('proof key', proofKeyTranscript(rid, g).digest),
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
  const { rid, g, shares } = evidence.body;
  const salts = shares.map(({ index }) => named(`mask ${index}`, maskTranscript(rid, g, index).digest));
  return roots.flatMap(({ name, value }) => {
    const prk = extract(value);
    return [
      named(`HKDF-Extract(${name})`, prk),
      ...infos.map((info) => named(`HKDF(${name}, ${info.name})`, expand(prk, info.value))),
      ...salts.map((salt) => named(`stretched ${name}, ${salt.name}`, hmac(salt.value, value))), // as test/harness/soft-client.ts stretches
    ];
  });
}

const LABELS = [
  'mask',
  'release-mask',
  'payload',
  'proof-key',
  'owner',
  'rehearsal',
  'proof',
  'code',
  'point',
  'stretch',
  'record',
  'body',
];

/** Together with something that is public: any short byte string of the traffic, or what the protocol hashes. */
export function mixturesOf(roots: readonly Consequence[], evidence: Evidence): Consequence[] {
  const { body, traffic } = evidence;
  const salts = [...traffic, body.ownerKey, body.proofKey];
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

/** A of the body, for each s: x, as the private key would be made of it. */
export function proofKeysOf(secrets: readonly Consequence[], { rid, g }: Body): Consequence[] {
  const info = proofKeyTranscript(rid, g).digest;
  return secrets.map(({ name, value }) => named(name, timesBase(expand(value, info))));
}

/** x of the base point's product with what the bytes are as a number. */
export function timesBase(scalar: Uint8Array): Uint8Array {
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(Point.Fn.toBytes(scalarOf(scalar)));
  return new Uint8Array(ecdh.getPublicKey().subarray(1, 33));
}

export const scalarOf = (bytes: Uint8Array): bigint => Point.Fn.create(BigInt(`0x${Buffer.from(bytes).toString('hex')}`));
