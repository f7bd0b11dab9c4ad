import type { Millis } from '../../primitives/brand.ts';
import { operatorsOf, parseStatement, type Statement } from '../../protocol/statement.ts';
import { type LogPolicy, type TrustedCheckpoint, verifyCheckpoint } from '../log/policy.ts';
import { parseProof, provesEntry } from '../log/proof.ts';
import { describeQuorum, isMet } from '../log/quorum.ts';
import { parseConsistency, type TreeHash, verifyConsistency } from '../log/tree.ts';
import { Checklist, refuse, refusingMalformed } from './checks.ts';
import type { SignedContent } from './cms.ts';
import { type Authorities, openLayers, statementBytes, verifyOperator, verifyWitness } from './layers.ts';
import { newestIn, toSeconds } from './newest.ts';

/** What a vault's reply, or an evidence directory, brings. */
export interface Bundle {
  /** validation-bundle.txt: the witness's signature inside the operator's. */
  readonly smime: Uint8Array;
  /** log-proof.txt: c2sp.org/tlog-proof@v1. */
  readonly logProof: Uint8Array;
  /** From the checkpoint that the verifier remembers to the one in the proof, where the verifier asked for it. */
  readonly consistency?: readonly Uint8Array[] | undefined;
}

/** The last checkpoint that a verifier believed. */
export interface RememberedCheckpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
}

/** Whom the verifier believes, known from elsewhere than the bundle. Nothing has a default. */
export interface BundlePolicy {
  readonly authorities: Authorities;
  readonly log: LogPolicy;
  /** Epochs below are refused. */
  readonly epochLeast: number;
  /** Any t replicas must be of so many different operators. 1 demands nothing. */
  readonly operatorsLeast: number;
  /** The fleet is being replaced: its statements are accepted down to `epochLeast` although a newer epoch is in force. */
  readonly draining: boolean;
  /** Undefined for whoever sees the log for the first time. */
  readonly remembered: RememberedCheckpoint | undefined;
}

export interface VerifiedBundle {
  readonly statement: Statement;
  readonly checkpoint: TrustedCheckpoint;
  /** Where the log holds the statement. */
  readonly index: number;
  /** From then on it is refused, since a newer epoch is in force; infinity where there is none. */
  readonly supersededFrom: Millis;
}

/** Throws FLEET_UNTRUSTED whose details name the first check that fails. */
export function verifyBundle(bundle: Bundle, policy: BundlePolicy, now: Millis): VerifiedBundle {
  const list = new Checklist();
  const { verified } = checkBundle(list, bundle, policy, now);
  list.throwIfRefused();
  return verified as VerifiedBundle;
}

export interface CheckedBundle {
  /** Undefined unless every check holds. */
  readonly verified: VerifiedBundle | undefined;
  /** What the bundle holds, to be shown: by itself it is to be trusted in nothing. */
  readonly claimed: Statement | undefined;
}

/** The same, each check by itself. */
export function checkBundle(list: Checklist, bundle: Bundle, policy: BundlePolicy, now: Millis): CheckedBundle {
  const { authorities, log } = policy;

  const layers = list.run('layers', 'The bundle has two signatures, the witness’s inside the operator’s', [], () => [
    openLayers(bundle.smime, authorities),
    'Two layers of S/MIME, each with one signer.',
  ]);
  const operator = list.run('operator', 'The operator signed it', [layers], (opened) => told(verifyOperator(opened, authorities, now)));
  const witness = list.run('witness', 'The witness signed it', [layers], (opened) => told(verifyWitness(opened, authorities, now)));

  const statement = list.run('signed-statement', 'What they signed is a fleet statement whose rules hold', [layers], (opened) => {
    const parsed = parseStatement(statementBytes(opened));
    const n = parsed.replicas.length;
    return [parsed, `Fleet ${parsed.fleet}, epoch ${parsed.epoch}: ${parsed.threshold} of ${n} replicas, all of them different.`];
  });
  const inForce = list.run('in-force', 'The statement is in force', [statement], (one) => [one, expectInForce(one, now)]);
  const spread = list.run('operators', 'Enough operators must agree to use t keys', [statement], (one) => [
    one,
    expectOperators(one, policy.operatorsLeast),
  ]);
  const recent = list.run('epoch', 'The statement is not of an older epoch', [statement], (one) => [
    one,
    expectEpoch(one, policy.epochLeast),
  ]);

  const proof = list.run('log-proof', 'There is a proof from the witness’s log', [], () => {
    const parsed = refusingMalformed('proof-malformed', () => parseProof(bundle.logProof));
    return [parsed, `Entry ${parsed.index} of ${parsed.checkpoint.size}.`];
  });
  const checkpoint = list.run(
    'checkpoint',
    `The log signed its checkpoint lately, and ${isMet(log.quorum, new Set()) ? 'others may have' : 'enough others did'}`,
    [proof],
    (one) => {
      const trusted = verifyCheckpoint(one.note, log, now);
      const others = trusted.cosigners.length > 0 ? ` and ${trusted.cosigners.join(', ')}` : '';
      return [
        trusted,
        `Signed by ${log.logKey.name}${others}, ${utc(trusted.signedAt)}. Of others’ signatures demanded: ${describeQuorum(log.quorum)}; found: ${trusted.cosigners.length}.`,
      ];
    },
  );
  const superseded = list.run('newest', 'No newer epoch is in force in its place', [statement, checkpoint], (one, log) =>
    expectNewest(one, log, policy.draining, now),
  );
  const included = list.run('inclusion', 'The log holds the statement', [layers, proof], (opened, one) => {
    if (!provesEntry(one, statementBytes(opened)))
      throw refuse('inclusion-proof', 'The proof does not lead from this statement to the log’s root.');
    return [true as const, `It is entry ${one.index}.`];
  });
  const consistent = list.run('history', 'The log continues what was seen of it before', [checkpoint], (one) => [
    true as const,
    expectContinues(one, policy.remembered, bundle.consistency),
  ]);

  if (!operator || !witness || !inForce || !spread || !recent || !proof || !checkpoint || !superseded || !included || !consistent)
    return { verified: undefined, claimed: statement };
  return { verified: { statement: inForce, checkpoint, index: proof.index, ...superseded }, claimed: statement };
}

/** Times of signatures are whole seconds. */
const utc = (time: Millis): string => new Date(time).toISOString().replace('.000Z', 'Z');

const told = (signed: SignedContent): [SignedContent, string] => [
  signed,
  `Signed by “${signed.certificate.commonName}”, ${utc(signed.signedAt)}.`,
];

function expectInForce({ document: { not_before, not_after } }: Statement, now: Millis): string {
  if (now < Date.parse(not_before)) throw refuse('statement-not-in-force', `The statement is valid from ${not_before} only.`);
  if (now >= Date.parse(not_after)) throw refuse('statement-not-in-force', `The statement was valid until ${not_after}.`);
  return `From ${not_before} until ${not_after}.`;
}

function expectOperators(statement: Statement, least: number): string {
  const operators = operatorsOf(statement);
  const found = `${statement.threshold} replicas are of ${operators} operators at least`;
  if (operators < least) throw refuse('operators-few', `Any ${found}; ${least} are demanded.`);
  return `Any ${found}; ${least} demanded.`;
}

function expectEpoch({ epoch }: Statement, least: number): string {
  if (epoch < least) throw refuse('statement-older', `The statement is of epoch ${epoch}; ${least} is the lowest that is accepted.`);
  return `Epoch ${epoch}; the lowest that is accepted is ${least}.`;
}

/** What a log says of a fleet counts from the time that it names: by the verifier's clock, or the checkpoint's own where that is ahead. */
function expectNewest(
  { fleet, epoch }: Statement,
  checkpoint: TrustedCheckpoint,
  draining: boolean,
  now: Millis,
): [Pick<VerifiedBundle, 'supersededFrom'>, string] {
  const newest = newestIn(checkpoint.extensions, fleet);
  const never = { supersededFrom: Number.POSITIVE_INFINITY };
  if (!newest) return [never, 'The log puts no epoch of this fleet in force.'];
  if (epoch >= newest.epoch) return [never, `The newest in force is epoch ${newest.epoch}.`];
  if (draining) return [never, `Epoch ${newest.epoch} is in force; this fleet is being replaced.`];
  const since = toSeconds(newest.refuseOlderFrom);
  if (epoch < newest.least) throw refuse('statement-superseded', `Epoch ${newest.epoch} is in force; epoch ${epoch} is refused.`);
  if (Math.max(now, checkpoint.signedAt) >= newest.refuseOlderFrom)
    throw refuse('statement-superseded', `Epoch ${newest.epoch} is in force; epoch ${epoch} is refused since ${since}.`);
  return [{ supersededFrom: newest.refuseOlderFrom }, `Epoch ${newest.epoch} is in force; epoch ${epoch} is accepted until ${since}.`];
}

function expectContinues(
  checkpoint: TrustedCheckpoint,
  before: RememberedCheckpoint | undefined,
  consistency: readonly Uint8Array[] | undefined,
): string {
  if (!before) return 'No checkpoint was seen before.';
  const proof = consistency && refusingMalformed('proof-malformed', () => parseConsistency(consistency));
  const { origin, size, root } = checkpoint;
  if (origin !== before.origin) throw refuse('log-forked', `The log is called ${origin}, and was ${before.origin}.`);
  if (size < before.size) throw refuse('log-shrank', `The log shows ${size} entries; ${before.size} were seen already.`);
  if (size > before.size && !proof)
    throw refuse('log-forked', `Nothing shows that the log continues the ${before.size} entries seen before.`);
  const old = { oldSize: before.size, oldRoot: before.root as TreeHash };
  if (!verifyConsistency({ ...old, size, root, proof: proof ?? [] }))
    throw refuse(
      'log-forked',
      `The log’s ${size} entries do not continue the ${before.size} that were seen before: it shows two histories.`,
    );
  return `Its ${size} entries continue the ${before.size} seen before.`;
}
