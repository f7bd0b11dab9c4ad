import { constantTimeEqual } from '../../primitives/bytes.ts';
import { type Body, beginsLine } from '../../protocol/body.ts';
import { answerTo, covers, type Destroyed, type End, type Generation, type Guarded, heldBy, isUnknownEnd, type Shown } from './guarded.ts';

/** What a guard does about a generation that it was shown to be over. */
export interface Destruction {
  readonly remembered: Destroyed;
  readonly dropped: readonly Generation[];
  /** By the tenant's word every ticket ends that was given before, also where nothing was served: nobody prepares it again. */
  readonly endsTickets: boolean;
  /** Whether the disk must hear of it. */
  readonly isNews: boolean;
  /** Something stays that may go with it, so that this guard is not rid of it: it was not shown of which line it is, or others than the tenant said so. */
  readonly leaves: boolean;
}

/** Who says so, and what is known of it. */
export interface Cause {
  /** The name of the ticket secret by which an offer of now could become a generation of that name, where none is here, or of what else goes with it. */
  readonly newest: Uint8Array;
  /** Whether the tenant does. Otherwise it is t replicas. */
  readonly byTenant: boolean;
  /** The generation itself, where whoever asks has it. */
  readonly shown?: Shown | undefined;
}

/** No I/O. */
export function destructionOf(guarded: Guarded, asked: End, { newest, byTenant, shown }: Cause): Destruction {
  const isAsked = ({ g }: Pick<End, 'g'>) => constantTimeEqual(g, asked.g);
  const held = heldBy(guarded).find(({ body }) => isAsked(body));
  const end = isUnknownEnd(asked) && held ? held.body : asked;
  const known = answerTo(guarded, end);
  const before = guarded.destroyed.filter(isAsked);
  const wasByTenant = before.some((each) => each.byTenant);
  const isByTenant = byTenant || wasByTenant;

  const { g, line, epoch, number } = known ?? end;
  const last = { g, line, epoch, number, byTenant: known && !isAsked(known) ? known.byTenant : isByTenant };
  const isTaken = ({ body }: Generation) => isByTenant && isSuccessor(body, asked.g);
  const taken = guarded.prepared.filter(isTaken);
  const dropped = heldBy(guarded).filter((each) => covers(last, each.body) || taken.includes(each));
  const left = heldBy(guarded).filter((each) => !dropped.includes(each));
  const own = held && held.prepared.length > 0 ? held : shown;
  const ofLast = known?.shown ?? (isAsked(last) ? own : undefined);
  const isNews = !known || dropped.length > 0 || last.byTenant !== known.byTenant || ofLast !== known.shown;

  const isAlone = dropped.length === 1 && dropped[0] === held;
  const isSaidAgain = dropped.length === 0 && wasByTenant === isByTenant;
  const alone = isAlone ? held?.madeWith : undefined;
  const madeWith = alone ?? (isSaidAgain ? (known ?? before[0])?.madeWith : undefined) ?? newest;
  const mayGoWithIt = (each: Generation) =>
    (each !== guarded.live && isSuccessor(each.body, asked.g)) || (isUnknownEnd(last) && mayComeBefore(each.body, asked.g));
  return {
    remembered: { ...last, madeWith, shown: ofLast },
    dropped,
    endsTickets: taken.length > 0 || isByTenant !== wasByTenant,
    isNews,
    leaves: left.some(mayGoWithIt),
  };
}

/** Whether an owner had it prepared to take the place of just this one. What begins a line replaces the tombstone of it, and stays. */
const isSuccessor = (body: Body, g: Uint8Array): boolean => !beginsLine(body) && constantTimeEqual(body.previous, g);

/** Whether it may come before one of which the line is not known. What replaced that, and what is of a line that it began, came after. */
const mayComeBefore = (body: Body, g: Uint8Array): boolean => !constantTimeEqual(body.line, g) && !constantTimeEqual(body.previous, g);
