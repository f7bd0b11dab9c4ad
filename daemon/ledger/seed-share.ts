import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Bytes, concat, constantTimeEqual, exactly, uint64 } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type SeedShare as Message, SeedShareSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { G_LENGTH, isLater, isSameLine } from '../../protocol/body.ts';
import { SIGNATURE_LENGTH } from '../../protocol/signature.ts';
import { type End, type Guarded, isOver } from './guarded.ts';

/** A share of another replica's seed, and what else that one's sub-record is made of. Where it stands in its line is the word of whoever dealt it. */
export interface SeedShare extends End {
  /** 12 bytes: shares with the same one belong together. Of two by one guard, the greater one is the later. */
  readonly deal: Bytes;
  /** 33 bytes: y for each byte of the seed, then x. */
  readonly share: Bytes;
  readonly enrolledAtMs: bigint;
  /** 32 bytes. */
  readonly mac: Bytes;
  /** 64 bytes, over transcript "prepared". */
  readonly signature: Bytes;
  /** The incarnation of the guard that dealt it. */
  readonly guard: number;
}

/** The same, in the guard that keeps it. */
export interface KeptShare extends SeedShare {
  /** Whose seed. */
  readonly owner: number;
}

const DEAL_LENGTH = 12;
const SHARE_LENGTH = 33;

/** Throws MALFORMED. */
export function parseSeedShare(message: Message | undefined): SeedShare {
  if (!message) throw new VaultError('MALFORMED', 'The share is missing.');
  const { epoch, number, enrolledAtMs, guard } = message;
  return {
    ...{ epoch, number, enrolledAtMs, guard },
    g: exactly(G_LENGTH, message.g, 'share.g'),
    line: exactly(G_LENGTH, message.line, 'share.line'),
    deal: exactly(DEAL_LENGTH, message.deal, 'share.deal'),
    share: exactly(SHARE_LENGTH, message.share, 'share.share'),
    mac: exactly(32, message.mac, 'share.mac'),
    signature: exactly(SIGNATURE_LENGTH, message.signature, 'share.signature'),
  };
}

export const renderSeedShare = ({ g, line, epoch, number, deal, share, enrolledAtMs, mac, signature, guard }: SeedShare): Message =>
  create(SeedShareSchema, { g, line, epoch, number, deal, share, enrolledAtMs, mac, signature, guard });

export const encodeSeedShare = (share: SeedShare): Uint8Array => toBinary(SeedShareSchema, renderSeedShare(share));

export const decodeSeedShare = (owner: number, value: Uint8Array): KeptShare => ({
  owner,
  ...parseSeedShare(fromBinary(SeedShareSchema, value)),
});

/** Whether a guard keeps no share of it, ever: it was erased here, or a later one of its line is served. */
export const isPast = (guarded: Guarded, share: End): boolean =>
  isOver(guarded, share) || (guarded.live !== undefined && isSucceeded(share, guarded.live.body));

/** The name of the deal that is the nth of a process: which began when its guard had written so much, as no other one did. */
export const dealName = (sequence: bigint, nth: number): Bytes => concat(uint64(sequence), uint64(BigInt(nth)).subarray(4));

/** Whether a share of the same generation is of a deal before that of the other one. */
export function isEarlierDeal(share: KeptShare, kept: KeptShare): boolean {
  if (!constantTimeEqual(share.g, kept.g)) return false;
  return share.guard === kept.guard ? Buffer.compare(share.deal, kept.deal) < 0 : share.guard < kept.guard;
}

/** Whether the later one took its place. */
export const isSucceeded = (share: End, by: End): boolean => isSameLine(share, by) && isLater(by, share);
