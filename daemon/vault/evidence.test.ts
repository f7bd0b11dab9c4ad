import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { ErasureSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type Vote, VoteSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { Body } from '../../protocol/body.ts';
import type { Transcript } from '../../protocol/transcript.ts';
import { erasedTranscript, spentTranscript, voteTranscript } from '../../protocol/transcripts.ts';
import { expectErasure } from './erasure.ts';
import type { Vault } from './vault.ts';
import { verifyVotes } from './votes.ts';

// Two receipt keys of different epochs, both stolen, make no t votes, and no t words that a record may go: what counts is signed by the keys in
// force, for the epoch in force.

const [IN_FORCE, BEFORE, TO_COME] = [2, 1, 3];
const pairs = () => new Map([1, 2, 3].map((index) => [index, generateKeyPairSync('ec', { namedCurve: 'P-256' })]));
const now = pairs();
const revoked = pairs();

const [rid, bodyHash, pointHash] = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte)) as [Uint8Array, Uint8Array, Uint8Array];
const g = new Uint8Array(16).fill(4);
const name = { fleet: 'test', epoch: IN_FORCE, rid, g };
const attempt = { ...name, bodyHash, attempt: 1, pointHash };
const indices = new Set([1, 2, 3]);
const terms = new Map([[IN_FORCE, { epoch: IN_FORCE, threshold: 2, indices, remaining: indices }]]);
const vault = {
  statement: { fleet: 'test', epoch: IN_FORCE, threshold: 2, terms },
  receiptKeys: new Map([...now].map(([index, { publicKey }]) => [index, publicKey])),
} as unknown as Vault;
const body = { epoch: BigInt(IN_FORCE), shares: [1, 2, 3].map((index) => ({ index })) } as unknown as Body;

/** By replica `index`, with that key, for that epoch. */
type Signer = readonly [index: number, keys: ReadonlyMap<number, { readonly privateKey: KeyObject }>, epoch: number];

const signedBy = (signers: readonly Signer[], transcriptOf: (index: number, epoch: number) => Transcript) =>
  signers.map(([index, keys, epoch]) => {
    const key = keys.get(index)?.privateKey as KeyObject;
    return { index, signature: new Uint8Array(sign('sha256', transcriptOf(index, epoch).preimage, { key, dsaEncoding: 'ieee-p1363' })) };
  });

const votesBy = (signers: readonly Signer[]): Vote[] =>
  signedBy(signers, (index, epoch) => voteTranscript(index, { ...attempt, epoch })).map((vote) => create(VoteSchema, vote));
const wordsBy = (signers: readonly Signer[], transcript: typeof spentTranscript) =>
  signedBy(signers, (index, epoch) => transcript({ ...name, index, epoch }));

/** What they show to whoever reads it. */
const readers: [what: string, code: string, show: (signers: readonly Signer[]) => Promise<unknown>][] = [
  ['that an attempt was counted', 'VOTES_REFUSED', async (signers) => verifyVotes(vault, attempt, votesBy(signers), body)],
  [
    'that a record is spent',
    'ERASURE_REFUSED',
    (signers) => expectErasure(vault, rid, g, create(ErasureSchema, { spent: wordsBy(signers, spentTranscript) })),
  ],
  [
    'that others erased it',
    'ERASURE_REFUSED',
    (signers) => expectErasure(vault, rid, g, create(ErasureSchema, { erased: wordsBy(signers, erasedTranscript) })),
  ],
];

describe.each(readers)('%s', (_, code, show) => {
  it('is shown by t keys in force, for the epoch in force', async () => {
    await expect(
      show([
        [1, now, IN_FORCE],
        [3, now, IN_FORCE],
      ]),
    ).resolves.not.toThrow();
  });

  it.each<[string, Signer[]]>([
    [
      'keys that were revoked',
      [
        [1, revoked, IN_FORCE],
        [2, revoked, IN_FORCE],
      ],
    ],
    [
      'keys that were revoked, for their own epoch',
      [
        [1, revoked, BEFORE],
        [2, revoked, BEFORE],
      ],
    ],
    [
      'one that was revoked beside one in force',
      [
        [1, revoked, BEFORE],
        [2, now, IN_FORCE],
      ],
    ],
    [
      'keys in force, for an epoch before',
      [
        [1, now, BEFORE],
        [2, now, BEFORE],
      ],
    ],
    [
      'keys in force, of which one signed for an epoch before',
      [
        [1, now, IN_FORCE],
        [2, now, BEFORE],
      ],
    ],
    [
      'keys in force, for an epoch to come',
      [
        [1, now, TO_COME],
        [2, now, TO_COME],
      ],
    ],
    [
      'the old and the new key of one replica',
      [
        [1, now, IN_FORCE],
        [1, revoked, IN_FORCE],
      ],
    ],
  ])('is not shown by %s', async (_signers, signers) => {
    await expect(show(signers)).rejects.toMatchObject({ code });
  });
});
