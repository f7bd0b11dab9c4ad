import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Bytes, exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type SeedShare as Message, SeedShareSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { G_LENGTH, isLater, isSameLine } from '../../protocol/body.ts';
import { SIGNATURE_LENGTH } from '../../protocol/signature.ts';
import { type End, type Guarded, isOver } from './guarded.ts';

/** A share of another replica's seed, and what else that one's sub-record is made of. Where it stands in its line is the word of whoever dealt it. */
export interface SeedShare extends End {
  /** 8 bytes: shares with the same one belong together. */
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

export const DEAL_LENGTH = 8;
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

/** Whether the later one took its place. */
export const isSucceeded = (share: End, by: End): boolean => isSameLine(share, by) && isLater(by, share);
