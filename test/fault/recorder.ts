import { verify } from 'node:crypto';
import { droppings, isDropped } from '../../client/dropped.ts';
import type { VaultTransport } from '../../client/transport.ts';
import { receiptKeys } from '../../daemon/vault/p256.ts';
import { toHex } from '../../primitives/bytes.ts';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import type {
  BeginRecoveryRequest,
  BeginRecoveryResponse,
  FinishEnrollmentRequest,
  FinishEnrollmentResponse,
  FinishRecoveryRequest,
} from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { parseBody } from '../../protocol/body.ts';
import type { Statement } from '../../protocol/statement.ts';
import { enrolledTranscript, receiptTranscript } from '../../protocol/transcripts.ts';
import type { Call, History } from './history.ts';
import type { Prng } from './prng.ts';

export type Method = keyof VaultTransport;

/** What a network does to a request and its answer. */
type Mischief = 'none' | 'lose-request' | 'lose-reply' | 'send-twice';

export interface RecorderOptions {
  readonly device: string;
  /** What the fleet had until now, the newest first. */
  readonly statements: readonly Statement[];
  readonly history: History;
  readonly rid: (recordId: string) => string;
  readonly random: Prng;
  /** Of each request. */
  readonly mischief: Readonly<Record<Mischief, number>>;
  /** Told each FinishEnrollment before it is sent. */
  readonly onEnrolment: (request: FinishEnrollmentRequest) => void;
  /** Told each point before it is sent. */
  readonly onGuess: (request: BeginRecoveryRequest) => void;
}

type Facts = Partial<Omit<Call, 'type'>>;

/** Between a device and its frontend: writes down what is said, loses some of it and says some of it twice. */
export function recording(inner: VaultTransport, options: RecorderOptions): VaultTransport {
  const { history, device, random, statements } = options;
  const keys = new Map<Statement, Keys>();
  const signers = (): Signers[] =>
    statements.map((statement) => {
      const known = keys.get(statement) ?? receiptKeys(statement);
      keys.set(statement, known);
      return { statement, keys: known };
    });

  const send = async (method: Method, request: never): Promise<object> => {
    const at = history.now();
    const asked = factsOfRequest(method, request, options);
    const note = (facts: Facts) => history.add({ type: 'call', at, until: history.now(), device, method, ...asked, ...facts } as Call);
    try {
      const response = (await inner[method](request)) as object;
      note({ outcome: 'ok', ...factsOfAnswer(method, request, response, signers()) });
      return response;
    } catch (error) {
      note({ outcome: isVaultError(error) ? error.code : 'INTERNAL', message: messageOf(error) });
      throw error;
    }
  };

  const call = (method: Method) => async (request: never) => {
    if (method === 'finishEnrollment') options.onEnrolment(request);
    if (method === 'beginRecovery') options.onGuess(request);
    switch (random.weighted(options.mischief)) {
      case 'lose-request':
        throw new VaultError('OUTCOME_UNKNOWN', 'The request was lost.');
      case 'lose-reply':
        await send(method, request).catch(() => {});
        throw new VaultError('OUTCOME_UNKNOWN', 'The reply was lost.');
      case 'send-twice': {
        const [first] = await Promise.allSettled([send(method, request), send(method, request)]);
        if (first.status === 'rejected') throw first.reason;
        return first.value;
      }
      case 'none':
        return send(method, request);
    }
  };
  return Object.fromEntries((Object.keys(inner) as Method[]).map((method) => [method, call(method)])) as unknown as VaultTransport;
}

interface AnyRequest {
  readonly recordId?: string;
  readonly g?: Uint8Array;
}

function factsOfRequest(method: Method, request: AnyRequest, { rid }: RecorderOptions): Facts & Pick<Call, 'rid'> {
  const record = { rid: request.recordId === undefined ? '' : rid(request.recordId), ...(request.g ? { g: toHex(request.g) } : {}) };
  if (method === 'beginRecovery' || method === 'finishRecovery')
    return { ...record, point: toHex((request as BeginRecoveryRequest | FinishRecoveryRequest).point) };
  if (method !== 'finishEnrollment') return record;
  const { body, point } = request as FinishEnrollmentRequest;
  return {
    ...record,
    g: toHex(body?.g ?? new Uint8Array(0)),
    previous: toHex(body?.previous ?? new Uint8Array(0)),
    limit: body?.policy?.limit ?? 0,
    hold: Number(body?.policy?.holdMs ?? 0n),
    point: toHex(point),
  };
}

type Keys = ReturnType<typeof receiptKeys>;

/** Who signs under a statement. */
interface Signers {
  readonly statement: Statement;
  readonly keys: Keys;
}

function factsOfAnswer(method: Method, request: AnyRequest, response: object, signers: readonly Signers[]): Facts {
  if (method === 'beginRecovery') return factsOfEvaluations(request as BeginRecoveryRequest, response as BeginRecoveryResponse, signers);
  if (method === 'finishEnrollment')
    return factsOfEnrolled(request as FinishEnrollmentRequest, response as FinishEnrollmentResponse, signers);
  return {};
}

function factsOfEvaluations({ g, point }: BeginRecoveryRequest, response: BeginRecoveryResponse, signers: readonly Signers[]): Facts {
  // In place of evaluations: too many replicas counted another point as this attempt.
  const { body, bodyHash } = parseBody(response.body);
  const { attempt } = response;
  const { limit } = body.policy;
  const isSigned = ({ index, evaluated, enrolledAtMs, used, signature }: BeginRecoveryResponse['evaluations'][number]) =>
    signers.some(({ statement: { fleet, epoch }, keys }) => {
      const receipt = { fleet, epoch, index, rid: body.rid, g, attempt, limit, used, point, evaluated, bodyHash, enrolledAtMs };
      return isSignedBy(keys, index, receiptTranscript(receipt).preimage, signature);
    });
  const indices = (evaluations: BeginRecoveryResponse['evaluations']) => evaluations.map(({ index }) => index);
  const forged = indices(response.evaluations.filter((evaluation) => !isSigned(evaluation)));
  return { attempt, limit, receipts: indices(response.evaluations.filter(isSigned)), ...(forged.length > 0 ? { forged } : {}) };
}

function factsOfEnrolled(request: FinishEnrollmentRequest, { enrolled }: FinishEnrollmentResponse, signers: readonly Signers[]): Facts {
  const { body, bodyHash } = parseBody(request.body);
  const signedUnder = ({ statement: { fleet, epoch }, keys }: Signers) =>
    enrolled.flatMap(({ index, signature }) => {
      const { preimage } = enrolledTranscript({ fleet, epoch, index, rid: body.rid, g: body.g }, bodyHash);
      return isSignedBy(keys, index, preimage, signature) ? [index] : [];
    });
  const isAcknowledged = (signed: readonly number[], { statement: { threshold, terms } }: Signers) =>
    signed.length >= threshold && (body.previous.length === 0 || isDropped(droppings({ terms }), signed));
  const under = signers.map((one) => ({ one, signed: signedUnder(one) })).find(({ signed }) => signed.length > 0);
  return { enrolled: under?.signed ?? [], acknowledged: under !== undefined && isAcknowledged(under.signed, under.one) };
}

function isSignedBy(keys: Keys, index: number, preimage: Uint8Array, signature: Uint8Array): boolean {
  const key = keys.get(index);
  return key !== undefined && verify('sha256', preimage, { key, dsaEncoding: 'ieee-p1363' }, signature);
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
