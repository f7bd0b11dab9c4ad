import { create } from '@bufbuild/protobuf';
import { type CurvePoint, type CurveX, curveXOf, divide, liftX, multiply, parseCurveX, randomScalar } from '../../client/curve.ts';
import { codeInput, signWithProofKey } from '../../client/derive.ts';
import { openPayload } from '../../client/open-body.ts';
import { type Blinded, blind } from '../../client/oprf.ts';
import type { Answer } from '../../client/receipts.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { BeginRecoveryRequestSchema, FinishRecoveryRequestSchema } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import type { HashedBody } from '../../protocol/body.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { proofTranscript, type TweakUse } from '../../protocol/transcripts.ts';
import { secretOf } from '../harness/soft-client.ts';
import type { SoftFleet } from '../harness/soft-fleet.ts';

/** An attempt on the attacker's own record, proved. */
interface Proved {
  readonly attempt: number;
  readonly point: CompressedPoint;
  readonly s: SecretBytes;
}

/** What an element for one replica is multiplied with before it is sent: t_victim / t_own, if it were known. 32 bytes. */
export type Ratio = (index: number, use: TweakUse) => Uint8Array;

export interface OwnRecord extends HashedBody {
  readonly recordId: string;
  readonly code: string;
}

/** Somebody who has a record of their own, under a code that they know, and the body of a victim's. */
export class OwnRecordAttack {
  readonly #fleet: SoftFleet;
  readonly #own: OwnRecord;
  readonly #victim: HashedBody;
  readonly #ratio: Ratio;

  constructor(fleet: SoftFleet, own: OwnRecord, victim: HashedBody, ratio: Ratio) {
    this.#fleet = fleet;
    this.#own = own;
    this.#victim = victim;
    this.#ratio = ratio;
  }

  /** s of the victim, if this is their code. It takes one of the attacker's attempts for each of t replicas: each has another ratio. */
  async guess(code: string): Promise<SecretBytes | undefined> {
    const { body } = this.#victim;
    const guessed = await this.#blinded(code, body.rid);
    const answers: Answer[] = [];
    for (const { index } of body.shares.slice(0, body.threshold)) {
      const point = this.#moved(index, 'oprf', guessed.point as CurvePoint);
      const reply = await this.#evaluations(point);
      answers.push(...reply.evaluations.filter((one) => one.index === index).map(answerOf));
    }
    return secretOf(body, answers, guessed);
  }

  /** The victim's backup key, with s. */
  async open(s: SecretBytes): Promise<SecretBytes | undefined> {
    const { body } = this.#victim;
    const own = await this.#recoverOwn();
    const b = randomScalar();
    const released = [];
    for (const { index } of body.shares.slice(0, body.threshold)) {
      const base = this.#moved(index, 'release', multiply(body.releaseBase as CurvePoint, b));
      const release = (await this.#released(own, base)).find((one) => one.index === index);
      released.push({ index, d: curveXOf(divide(liftX(release?.released as CurveX), b)) });
    }
    return openPayload(body, s, released);
  }

  #moved(index: number, use: TweakUse, point: CurvePoint): CurvePoint {
    return multiply(point, new SecretBytes(this.#ratio(index, use)));
  }

  async #blinded(code: string, rid: Uint8Array): Promise<Blinded> {
    return blind(codeInput(code, this.#fleet.name, rid));
  }

  #evaluations(point: CompressedPoint) {
    const { recordId, body } = this.#own;
    return this.#fleet.beginRecovery(create(BeginRecoveryRequestSchema, { recordId, g: body.g, point }));
  }

  /** In order, as any owner does. */
  async #recoverOwn(): Promise<Proved> {
    const { body, code } = this.#own;
    const blinded = await this.#blinded(code, body.rid);
    const { attempt, evaluations } = await this.#evaluations(blinded.point);
    const s = (await secretOf(body, evaluations.map(answerOf), blinded)) as SecretBytes;
    return { attempt, point: blinded.point, s };
  }

  async #released({ attempt, point, s }: Proved, blindedBase: CurvePoint) {
    const { recordId, body } = this.#own;
    const { fleet, epoch, rid, g } = body;
    const proof = signWithProofKey(s.expose(), rid, g, proofTranscript({ fleet, epoch, rid, g }, attempt, point, blindedBase));
    const request = create(FinishRecoveryRequestSchema, { recordId, g, attempt, point, blindedBase, proof, epoch });
    return (await this.#fleet.finishRecovery(request)).releases;
  }
}

const answerOf = ({ index, evaluated }: { index: number; evaluated: Uint8Array }): Answer =>
  ({ index, evaluated: parseCurveX(evaluated, 'evaluated') }) as Answer;
