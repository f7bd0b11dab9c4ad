import type { Brand } from '../primitives/brand.ts';
import { type Bytes, constantTimeEqual, exactly, fromHex, toHex } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import type * as pb from '../proto/gen/backupvault/v1/record_pb.ts';
import { refuseUnknownFields } from './message.ts';
import { parsePoint } from './point.ts';
import { bodyTranscript } from './transcripts.ts';
import { xOf } from './x-coordinate.ts';

export const PROTOCOL_VERSION = 1;
export const MAX_REPLICAS = 9;
/** Of a replica. Indices are never given again, so they outgrow the number of replicas. */
export const MAX_INDEX = 99;
export const MAX_ATTEMPTS = 100;
const MAX_NUMBER = (1n << 63n) - 1n;
const MAX_COOL_DOWN_MS = 24n * 60n * 60n * 1000n;
const MAX_HOLD_MS = 30n * 24n * 60n * 60n * 1000n;
export const G_LENGTH = 16;
export const HASH_LENGTH = 32;

export const BACKUP_KEY_LENGTH = 32;
const PAYLOAD_LENGTH = 12 + BACKUP_KEY_LENGTH + 16; // nonce, backup key, tag

/** A body whose every length and range was checked, with its hash. Whether it fits a fleet, a ticket or a record is asked elsewhere. */
export type Body = Brand<pb.Body & { readonly policy: pb.Policy }, 'Body'>;

/** When a generation was enrolled, among those of its record. */
export type Order = Pick<pb.Body, 'epoch' | 'number'>;

/** After etcd was restored the epoch is a higher one: what was enrolled since then is later than all that etcd may have forgotten. */
export const isLater = (a: Order, b: Order): boolean => a.epoch > b.epoch || (a.epoch === b.epoch && a.number > b.number);

/** Whether it replaces a tombstone, or nothing: no owner signs for it, and whoever is signed in may have made it. */
export const beginsLine = ({ g, line }: Pick<pb.Body, 'g' | 'line'>): boolean => constantTimeEqual(g, line);

export const isSameLine = (a: Pick<pb.Body, 'line'>, b: Pick<pb.Body, 'line'>): boolean => constantTimeEqual(a.line, b.line);

/**
 * Whether one generation may take the place of another without its end being shown: owners signed all the way from one to the other. Of two that
 * replace the same one, at most one came into force, and etcd alone says which. Where it lies, one guard must not go one way and the next the
 * other: the order that they all know is that of the hashes.
 */
export function comesAfter(a: HashedBody, b: HashedBody): boolean {
  if (!isSameLine(a.body, b.body)) return false;
  const isTie = a.body.epoch === b.body.epoch && a.body.number === b.body.number;
  return isTie ? toHex(a.bodyHash) > toHex(b.bodyHash) : isLater(a.body, b.body);
}

export interface HashedBody {
  readonly body: Body;
  readonly bodyHash: Bytes;
}

/** Throws MALFORMED. */
export function parseBody(body: pb.Body | undefined): HashedBody {
  if (!body) throw malformed('a body is missing');
  refuseUnknownFields(body, 'body');
  if (body.version !== PROTOCOL_VERSION) throw malformed(`body.version must be ${PROTOCOL_VERSION}, got ${body.version}`);
  exactly(HASH_LENGTH, body.rid, 'body.rid');
  exactly(G_LENGTH, body.g, 'body.g');
  exactly(32, body.ownerKey, 'body.owner_key');
  if (body.previous.length !== 0) exactly(G_LENGTH, body.previous, 'body.previous');
  exactly(G_LENGTH, body.line, 'body.line');
  if (body.previous.length === 0 && !beginsLine(body)) throw malformed('body.line must be body.g where nothing is replaced');
  if (body.number < 1n || body.number > MAX_NUMBER) throw malformed('body.number must be 1 or more');
  exactly(PAYLOAD_LENGTH, body.payload, 'body.payload');
  parsePoint(body.proofKey, 'body.proof_key');
  // T = ±G would open what is released: its products with the release keys are in the offers.
  if (constantTimeEqual(xOf(parsePoint(body.releaseBase, 'body.release_base')), GENERATOR_X))
    throw malformed('body.release_base must not be ±G');
  parsePolicy(body.policy);
  parseShares(body);
  return { body: body as Body, bodyHash: bodyTranscript(body).digest };
}

// SEC 2 §2.4.2
const GENERATOR_X = fromHex('6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296', 'x of G');

function parsePolicy(policy: pb.Policy | undefined): void {
  if (!policy) throw malformed('body.policy is missing');
  refuseUnknownFields(policy, 'body.policy');
  if (policy.limit < 1 || policy.limit > MAX_ATTEMPTS) throw malformed(`body.policy.limit must be 1 to ${MAX_ATTEMPTS}`);
  if (policy.coolDownMs > MAX_COOL_DOWN_MS) throw malformed(`body.policy.cool_down_ms must be at most ${MAX_COOL_DOWN_MS}`);
  if (policy.holdMs > MAX_HOLD_MS) throw malformed(`body.policy.hold_ms must be at most ${MAX_HOLD_MS}`);
}

function parseShares(body: pb.Body): void {
  const { shares, threshold } = body;
  if (shares.length > MAX_REPLICAS) throw malformed(`body.shares must be at most ${MAX_REPLICAS}`);
  if (threshold < 2 || threshold > shares.length) throw malformed('body.threshold must be at least 2 and at most the number of shares');
  const xs = new Set<number>();
  let last = 0;
  for (const share of shares) {
    refuseUnknownFields(share, 'body.shares');
    if (share.index <= last || share.index > MAX_INDEX) throw malformed('body.shares must be in ascending order of index, each once');
    last = share.index;
    if (share.x < 1 || share.x > 255) throw malformed('body.shares.x must be 1 to 255');
    xs.add(share.x);
    exactly(32, share.mask, 'body.shares.mask');
    exactly(32, share.releaseMask, 'body.shares.release_mask');
  }
  if (xs.size !== shares.length) throw malformed('body.shares.x must be distinct'); // equal x would make shares useless, or reveal one
}

/** The share of one replica, or undefined where it holds none. */
export const shareOf = (body: Body, index: number): pb.Share | undefined => body.shares.find((share) => share.index === index);

const malformed = (what: string) => new VaultError('MALFORMED', `${what}.`);
