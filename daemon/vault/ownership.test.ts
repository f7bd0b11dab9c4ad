import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { ed25519 } from '@noble/curves/ed25519.js';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  type Attempts,
  BodySchema,
  RecordState,
  type ShownGeneration,
  ShownGenerationSchema,
  type Signed,
} from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type HashedBody, parseBody } from '../../protocol/body.ts';
import { preparedTranscript, replaceTranscript } from '../../protocol/transcripts.ts';
import { SoftFleet } from '../../test/harness/soft-fleet.ts';
import { live } from '../ledger/attempts.ts';
import type { Generation, Guarded } from '../ledger/guarded.ts';
import { expectMayReplace } from './ownership.ts';
import { receiptKeys } from './p256.ts';
import type { Vault } from './vault.ts';

// Replica 1 of three missed what is to be replaced: of its owner it knows what etcd names, and what a coordinator shows it.

const fleet = new SoftFleet();
const { statement, name } = fleet;
const fill = (n: number, length: number) => new Uint8Array(length).fill(n);
const point = Uint8Array.of(2, ...fill(1, 32));
const rid = fill(7, 32);
const [owner, thief] = [1, 2].map((n) => ({ secret: fill(n, 32), key: ed25519.getPublicKey(fill(n, 32)) })) as [Owner, Owner];

interface Owner {
  readonly secret: Uint8Array;
  readonly key: Uint8Array;
}

function generation(n: number, change: MessageInitShape<typeof BodySchema> = {}): HashedBody {
  return parseBody(
    create(BodySchema, {
      ...{ version: 1, fleet: name, epoch: 1n, rid, g: fill(n, 16), threshold: 2, policy: { limit: 2, coolDownMs: 0n } },
      shares: [1, 2, 3].map((index) => ({ index, x: index, mask: fill(0, 32), releaseMask: fill(0, 32) })),
      ...{ ownerKey: owner.key, previous: n > 1 ? fill(n - 1, 16) : new Uint8Array(0), payload: fill(0, 60) },
      ...{ proofKey: point, releaseBase: point, number: BigInt(n), line: fill(1, 16) },
      ...change,
    } as never),
  );
}

function signed({ body, bodyHash }: HashedBody, index: number): Signed {
  const of = { fleet: name, epoch: 1, index, rid, g: body.g };
  const signature = Uint8Array.from(fleet.replica(index).sign(preparedTranscript(of, body.previous, bodyHash)));
  return { $typeName: 'backupvault.v1.Signed', index, signature };
}

const current = generation(4);
const next = generation(5);
const prepared = [1, 2, 3].map((index) => signed(current, index));
const [, second, third] = prepared as [Signed, Signed, Signed];
const shown = ({ body }: Pick<HashedBody, 'body'>, by: readonly Signed[]): ShownGeneration =>
  create(ShownGenerationSchema, { body, prepared: [...by] });

const signedBy = ({ secret }: Owner, of: HashedBody = next, replaced: HashedBody = current) =>
  ed25519.sign(replaceTranscript({ fleet: name, epoch: 1, rid, g: of.body.g }, replaced.body.g, of.bodyHash).digest, secret);

/** What etcd says. */
let register: Attempts | undefined;
let guarded: Guarded;

beforeEach(() => {
  register = live(current, { incarnation: 1, holders: [2, 3] });
  guarded = { live: undefined, prepared: [], counted: new Map(), destroyed: [] };
});

function replace(replaced?: ShownGeneration, ownerSignature: Uint8Array = signedBy(owner), of = next): Promise<string> {
  const vault = { statement, receiptKeys: receiptKeys(statement), register: { read: async () => register } } as unknown as Vault;
  return expectMayReplace(vault, guarded, of, { ownerSignature, ...(replaced && { replaced }) }).then(
    () => 'ACCEPTED',
    (error: { code: string }) => error.code,
  );
}

it('goes by the owner of what etcd names and t prepared, once it is shown that', async () => {
  expect(await replace(shown(current, prepared))).toBe('ACCEPTED');
  expect(await replace(shown(current, [second, third]))).toBe('ACCEPTED');
});

describe('goes by nothing', () => {
  it('that it is not shown, or that is not what etcd names', async () => {
    const bent = generation(4, { ownerKey: thief.key });
    for (const replaced of [undefined, shown(bent, prepared), shown(next, prepared), shown(generation(3), prepared)])
      for (const by of [owner, thief]) expect(await replace(replaced, signedBy(by))).toBe('NOT_ENOUGH_REPLICAS');
    const malformed = create(ShownGenerationSchema, { prepared });
    expect(await replace(malformed)).toBe('MALFORMED');
  });

  it.each<[string, readonly Signed[]]>([
    ['nobody', []],
    ['one', [second]],
    ['one, twice', [second, second]],
    ['one, in all names', [1, 2, 3].map((index) => ({ ...second, index }))],
    ['others, of another generation', [1, 2, 3].map((index) => signed(next, index))],
    ['others, flipped', prepared.map((each) => ({ ...each, signature: each.signature.map((byte, i) => (i === 9 ? byte ^ 1 : byte)) }))],
  ])('that %s prepared', async (_, by) => {
    expect(await replace(shown(current, by))).toBe('GENERATION_CONFLICT');
  });

  it('that etcd and the coordinator made up together', async () => {
    const bent = generation(4, { ownerKey: thief.key });
    register = live(bent, { incarnation: 1, holders: [1, 2, 3] });
    for (const by of [prepared, [signed(bent, 3)], [signed(bent, 3), { ...signed(bent, 3), index: 2 }]])
      expect(await replace(shown(bent, by), signedBy(thief))).toBe('GENERATION_CONFLICT');
  });

  it('but the owner’s signature, over this replacement', async () => {
    const replaced = shown(current, prepared);
    for (const signature of [new Uint8Array(0), signedBy(thief), signedBy(owner, generation(6)), signedBy(owner, next, generation(3))])
      expect(await replace(replaced, signature)).toBe('OWNER_REFUSED');
  });
});

it('takes none that etcd does not name as what is replaced', async () => {
  register = live(generation(6), { incarnation: 1, holders: [2, 3] });
  expect(await replace(shown(current, prepared))).toBe('GENERATION_CONFLICT');
});

it('takes none of another line than what it prepared itself', async () => {
  const elsewhere = generation(4, { line: fill(9, 16) });
  guarded = { ...guarded, prepared: [{ ...elsewhere, prepared: [] } as unknown as Generation] };
  expect(await replace(shown(current, prepared))).toBe('GENERATION_CONFLICT');
});

it('needs nothing to be shown of what it serves, and believes nothing of it', async () => {
  guarded = { ...guarded, live: { ...current, prepared } as unknown as Generation };
  register = undefined;
  const bent = shown(generation(4, { ownerKey: thief.key }), prepared);
  for (const replaced of [undefined, bent]) {
    expect(await replace(replaced)).toBe('ACCEPTED');
    expect(await replace(replaced, signedBy(thief))).toBe('OWNER_REFUSED');
  }
});

it('needs nothing to be shown of what is erased', async () => {
  register = { ...(register as Attempts), state: RecordState.ERASED };
  const begun = generation(5, { line: fill(5, 16) });
  for (const replaced of [undefined, shown(current, prepared)]) expect(await replace(replaced, new Uint8Array(0), begun)).toBe('ACCEPTED');
});
