import { parse } from 'yaml';
import { z } from 'zod';
import { MAX_INDEX, MAX_REPLICAS } from '../../protocol/body.ts';
import { refuse } from './checks.ts';
import { decodeText } from './files.ts';
import { parsePublicKey } from './public-key.ts';

export const PLAN_TYPE = 'backup-key-vault/ceremony-plan/v1';

const name = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,62}$/);
const seconds = z.iso.datetime({ precision: 0 });

const replica = z.strictObject({
  name,
  /** By which it is known for ever. Without it, that after the one before it in this list, 1 for the first. Never that of one that left. */
  index: z.int().min(1).max(MAX_INDEX).optional(),
  /** Who runs it. Without it the fleet is run by one, who is called as the fleet. */
  operator: name.optional(),
  /**
   * `make`: new keys in a token that has none of this replica. For another epoch of the same fleet: `keep`, the keys that are there, or
   * `rotate`, a new OPRF key, release key and MAC key beside them.
   */
  keys: z.enum(['make', 'keep', 'rotate']),
  /** Counts the times the replica's guard was lost or rebuilt. */
  guard_incarnation: z.int().min(1),
  /** The configuration of its daemon: says where the token and its PIN are. Relative to the plan. */
  config: z.string(),
  /** Initialise a blank token first. */
  initialise: z.boolean().default(false),
  /** The PIN that its security officer then gets. Relative to the plan. */
  so_pin_file: z.string().optional(),
  /** Environment of whoever opens the token, such as the path of the module's own configuration. Relative to the plan. */
  module_configuration: z.strictObject({ variable: z.string().regex(/^[A-Z][A-Z0-9_]*$/), file: z.string() }).optional(),
  /** Files that the vendor's tools made about this token: attestation. Relative to the plan. */
  attestation: z.array(z.string()).default([]),
});

const participant = z.strictObject({
  name,
  role: z.enum(['operator', 'custodian', 'witness', 'auditor']),
  /** P-256, as PEM (SubjectPublicKeyInfo). */
  public_key: z.string().startsWith('-----BEGIN PUBLIC KEY-----'),
});

const schema = z.strictObject({
  type: z.literal(PLAN_TYPE),
  /** A rehearsal may run with software tokens; whoever looks at the evidence is told. */
  purpose: z.enum(['production', 'rehearsal']),
  fleet: z.string().regex(/^[a-z0-9][a-z0-9-]{0,28}$/),
  epoch: z.int().min(1),
  /** The statement of the epoch before; none for the first. Relative to the plan. */
  previous: z.string().optional(),
  threshold: z.int().min(2),
  /** Earlier epochs of which nothing is served any more; every other one that the previous statement lists stays served, and its own. */
  epochs_ended: z.array(z.int().min(1)).default([]),
  store_incarnation: z.int().min(1),
  not_before: seconds,
  not_after: seconds,
  software: z.strictObject({
    version: z.string(),
    /** Of the artefact that runs: sha256:…, as printed by the commands below. */
    digest: z.string(),
    /** Commands with which anybody makes the same artefact again. */
    rebuild: z.array(z.string()).min(1),
  }),
  replicas: z.array(replica).min(3).max(MAX_REPLICAS),
  participants: z.array(participant).min(2),
});

export type CeremonyPlan = z.infer<typeof schema>;
export type PlannedParticipant = CeremonyPlan['participants'][number];
export type PlannedReplica = CeremonyPlan['replicas'][number];

/** Who runs the replica, as its statement names them. */
export const operatorOf = ({ fleet }: Pick<CeremonyPlan, 'fleet'>, { operator }: PlannedReplica): string => operator ?? fleet;

/** By which the replicas are known, in order. */
export function indicesOf({ replicas }: Pick<CeremonyPlan, 'replicas'>): number[] {
  let last = 0;
  return replicas.map(({ index }) => {
    last = index ?? last + 1;
    return last;
  });
}

/** The plan of a ceremony. Throws plan-mismatch naming what is wrong. */
export function parsePlan(bytes: Uint8Array): CeremonyPlan {
  let document: unknown;
  try {
    document = parse(decodeText(bytes, 'plan-mismatch', 'The plan'), { maxAliasCount: 0 });
  } catch (cause) {
    throw refuse('plan-mismatch', `The plan is not YAML: ${(cause as Error).message}`, cause);
  }
  const result = schema.safeParse(document);
  if (!result.success) throw refuse('plan-mismatch', `The plan is wrong:\n${z.prettifyError(result.error)}`);
  const plan = result.data;
  const n = plan.replicas.length;
  if (plan.threshold <= n / 2) throw refuse('threshold-not-majority', `The plan’s threshold ${plan.threshold} of ${n} is not a majority.`);
  if (plan.threshold >= n) throw refuse('threshold-of-all', `The plan’s threshold ${plan.threshold} of ${n} leaves none that may fail.`);
  const indices = indicesOf(plan);
  if (indices.some((index, i) => index <= (indices[i - 1] ?? 0)))
    throw refuse('plan-mismatch', 'The plan’s replicas must be in ascending order of index, each once.');
  if (plan.epoch === 1 ? plan.previous !== undefined : plan.previous === undefined)
    throw refuse('epoch-gap', 'The plan must name the previous statement, except for epoch 1.');
  if (plan.epoch === 1 && plan.replicas.some(({ keys }) => keys === 'rotate'))
    throw refuse('plan-mismatch', 'The plan rotates keys in epoch 1, which has none before it.');
  if (Date.parse(plan.not_before) >= Date.parse(plan.not_after))
    throw refuse('plan-mismatch', 'The plan’s validity ends before it begins.');
  distinct('replicas have the same name', plan.replicas);
  distinct('participants have the same name', plan.participants);
  const keys = plan.participants.map(({ public_key }) => ({ name: String(parsePublicKey(public_key).point) }));
  distinct('participants have the same key', keys);
  if (!plan.participants.some(({ role }) => role === 'operator') || !plan.participants.some(({ role }) => role !== 'operator'))
    throw refuse('plan-mismatch', 'The plan needs an operator, and somebody who watches.');
  return plan;
}

function distinct(what: string, items: readonly { readonly name: string }[]): void {
  if (new Set(items.map((item) => item.name)).size !== items.length) throw refuse('plan-mismatch', `Two ${what} in the plan.`);
}
