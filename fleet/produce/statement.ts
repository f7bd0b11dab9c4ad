import { z } from 'zod';
import { encodeStatement, parseStatement, STATEMENT_TYPE, type Statement, statementSchema } from '../../protocol/statement.ts';
import type { Validity } from './authority.ts';

/** The public part of a replica's token, as whoever provisioned it reports. */
export const provisionedSchema = statementSchema.shape.replicas.element.pick({
  oprf_key: true,
  release_key: true,
  receipt_key: true,
  token: true,
  key_attributes: true,
});

/** The same, with what the token says it can do (PKCS #11 mechanisms, in hexadecimal): what `bkvctl replica provision` prints. */
export const tokenReadingSchema = provisionedSchema.extend({ mechanisms: z.array(z.string()) });

export type TokenReading = z.infer<typeof tokenReadingSchema>;
export type Provisioned = z.infer<typeof provisionedSchema>;

export interface StatementPlan {
  readonly fleet: string;
  readonly threshold: number;
  /** In the order of their indices, from 1. */
  readonly replicas: readonly Provisioned[];
  readonly validity: Validity;
  readonly software: { readonly version: string; readonly digest: string };
}

/** The first statement of a fleet. Throws FLEET_UNTRUSTED for what no client would accept. */
export function firstStatement(plan: StatementPlan): Statement {
  const bytes = encodeStatement({
    type: STATEMENT_TYPE,
    fleet: plan.fleet,
    epoch: 1,
    previous: null,
    threshold: plan.threshold,
    replicas: plan.replicas.map((replica, i) => ({ index: i + 1, name: `replica-${i + 1}`, guard_incarnation: 1, ...replica })),
    store_incarnation: 1,
    not_before: plan.validity.notBefore.toISOString(),
    not_after: plan.validity.notAfter.toISOString(),
    software: plan.software,
    evidence: null,
  });
  return parseStatement(bytes); // as every client will
}
