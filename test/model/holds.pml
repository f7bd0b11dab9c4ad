/* Holds and vetoes of one record: what a guard does with a right proof where the body has a hold, and what the owner's word stops.
 *
 * As in attempts.pml there is one process, each event is one atomic step, any event may be the last, and what was signed stays signed. Whoever
 * knows the code can prove it, at any guard, at any time. The owner's word may reach any guard at any time, or never, or again. So there are
 * no coordinators here. Every point is counted by all, but for COUNTS. README.md says what is abstracted; run.sh holds the configurations. */

#define BIT(x) (1 << (x))
#define HAS(set, x) (((set) >> (x)) & 1)
#define COUNT(set) (HAS(set, 0) + HAS(set, 1) + HAS(set, 2) + HAS(set, 3) + HAS(set, 4))

/* N replicas, T open a record, M hold a share of it: 0..M-1. The last F of these lie: they answered, signed and know of nothing, all of it from the start. */
#ifndef F
#define F 0
#endif
#define ALL (BIT(M) - 1)
#define LIARS (BIT(M) - BIT(M - F))
#define OTHERS(i) (ALL & ~BIT(i))

/* Points 1..NH. Bases 1..NB: 1 is the owner's, 2 is another's who knows the code, too. With one base every answer is for it. */
#ifndef NH
#define NH 1
#endif
#ifndef NB
#define NB 1
#endif
#define HB(h, b) (NB * ((h) - 1) + (b) - 1)

#ifdef COUNTS
#define TRIED 0
#else
#define TRIED 1
#endif

/* What honest guards have on their disks: a bit for each guard. */
byte proved[NH * NB]; /* the first right proof of point h was for base b */
byte over[NH];        /* the hold is over, by the guard's own clock */
byte graced;          /* of point 1, and the grace after it */
byte approved[NH];
byte vetoed[NH];
byte asked[NH];       /* t-1 others answered that they know no veto */
byte released[NH];
byte old;             /* it was rebuilt, and told that point 1 was counted before that */
byte closed;          /* it signed `spent`, and remembers that */
byte waited_all;      /* the length of a hold and the grace are over since it counted the last attempt, or was rebuilt */
#ifdef COUNTS
byte counted;         /* it counts point 1 */
#else
#define counted ALL
#endif
byte lost;            /* its disk is gone; no more than one at a time */
/* What the world has. */
byte answered[NH * NB]; /* answers for base b of point h */
byte said[NH];          /* `vetoed`, as far as it counts */
bit final[NH];          /* enough did: the owner takes the veto for done */
byte spent;             /* `spent` */
byte voted;             /* votes for point 1, as far as they count */
bit tried = TRIED;      /* t voted for it: whoever knows the code can prove it */
/* What only the properties see. */
byte waited[NH];       /* a whole hold passed since this guard took the proof that it goes by */
byte early[NH * NB];   /* answers that were given before */
byte unheard[NH];      /* guards that asked after the veto was final, and heard of none */
bit own;               /* the owner's base was the first one of point 1, proved or approved, at more than m-t honest guards, while no other had opened */
byte began;            /* guards that began a hold of point 1, whether they remember it or not */
bit once;              /* a guard was lost, where no other one may be */
byte forgot;           /* those that were lost after that */
byte past;             /* those whose first one is over, and the grace after it */

#define PROVED(h, b) proved[HB(h, b)]
#define ANSWERED(h, b) answered[HB(h, b)]
#define EARLY(h, b) early[HB(h, b)]
#if NB == 1
#define OTHER_BASE(h, b) 0
#define HELD(h) PROVED(h, 1)
#define H_EACH_B(E, i, h) E(i, h, 1)
#define ANY_B(E, h) E(h, 1)
#else
#define OTHER_BASE(h, b) PROVED(h, 3 - (b))
#define HELD(h) (PROVED(h, 1) | PROVED(h, 2))
#define H_EACH_B(E, i, h) E(i, h, 1) E(i, h, 2)
#define ANY_B(E, h) (E(h, 1) || E(h, 2))
#endif
#if NH == 1
#define EACH_H(E, i) E(i, 1)
#define EACH_HB(E, i) H_EACH_B(E, i, 1)
#define ANY_H(E) E(1)
#else
#define EACH_H(E, i) E(i, 1) E(i, 2)
#define EACH_HB(E, i) H_EACH_B(E, i, 1) H_EACH_B(E, i, 2)
#define ANY_H(E) (E(1) || E(2))
#endif
#if M - F == 1
#define EACH_I(E) E(0)
#define I_EACH_H(E) EACH_H(E, 0)
#define I_EACH_HB(E) EACH_HB(E, 0)
#define SUM(E) E(0)
#elif M - F == 2
#define EACH_I(E) E(0) E(1)
#define I_EACH_H(E) EACH_H(E, 0) EACH_H(E, 1)
#define I_EACH_HB(E) EACH_HB(E, 0) EACH_HB(E, 1)
#define SUM(E) (E(0) + E(1))
#elif M - F == 3
#define EACH_I(E) E(0) E(1) E(2)
#define I_EACH_H(E) EACH_H(E, 0) EACH_H(E, 1) EACH_H(E, 2)
#define I_EACH_HB(E) EACH_HB(E, 0) EACH_HB(E, 1) EACH_HB(E, 2)
#define SUM(E) (E(0) + E(1) + E(2))
#elif M - F == 4
#define EACH_I(E) E(0) E(1) E(2) E(3)
#define I_EACH_H(E) EACH_H(E, 0) EACH_H(E, 1) EACH_H(E, 2) EACH_H(E, 3)
#define I_EACH_HB(E) EACH_HB(E, 0) EACH_HB(E, 1) EACH_HB(E, 2) EACH_HB(E, 3)
#define SUM(E) (E(0) + E(1) + E(2) + E(3))
#else
#define EACH_I(E) E(0) E(1) E(2) E(3) E(4)
#define I_EACH_H(E) EACH_H(E, 0) EACH_H(E, 1) EACH_H(E, 2) EACH_H(E, 3) EACH_H(E, 4)
#define I_EACH_HB(E) EACH_HB(E, 0) EACH_HB(E, 1) EACH_HB(E, 2) EACH_HB(E, 3) EACH_HB(E, 4)
#define SUM(E) (E(0) + E(1) + E(2) + E(3) + E(4))
#endif

#define OPENS(h, b) (COUNT(ANSWERED(h, b) | LIARS) >= T)
#define IS_UP(i) (!HAS(lost, i))

/* The first right proof of a point fixes the base, or an approval that comes before it: that is of base 1. */
#if !defined(APPROVALS) || defined(M_APPROVAL_FIXES_NONE) || defined(M_APPROVES_ALL)
#define IS_FIXED(i, h, b) HAS(OTHER_BASE(h, b), i)
#else
#define IS_FIXED(i, h, b) (HAS(OTHER_BASE(h, b), i) || (b) != 1 && HAS(approved[(h) - 1], i))
#endif
#if defined(M_LAST_BASE)
#define MAY_PROVE(i, h, b) 1
#elif defined(M_ONE_HOLD) /* a record has one hold, not one for each point */
#define MAY_PROVE(i, h, b) (!IS_FIXED(i, h, b) && !HAS(HELD(3 - (h)), i))
#else
#define MAY_PROVE(i, h, b) (!IS_FIXED(i, h, b))
#endif
#ifdef M_CLOSED_BEGINS
#define MAY_BEGIN(i) 1
#else
#define MAY_BEGIN(i) (!HAS(closed, i))
#endif
#ifdef M_VETO_OF_ALL /* a veto is of the record, not of a point */
#define IS_STOPPED(i, h) HAS(vetoed[0] | vetoed[1], i)
#else
#define IS_STOPPED(i, h) HAS(vetoed[(h) - 1], i)
#endif

#ifdef P_RIDE
#define NOTE_OWN own = own || COUNT(PROVED(1, 1) | approved[0] & ~PROVED(1, 2)) > M - T && !OPENS(1, 2)
#else
#define NOTE_OWN skip
#endif
#ifdef P_SPENT
#define BEGIN(i) began = began | BIT(i)
#else
#define BEGIN(i) NOTE_OWN
#endif
#if NB == 1
#define SET_BASE(i, h, b) PROVED(h, b) = PROVED(h, b) | BIT(i)
#else
#define SET_BASE(i, h, b) PROVED(h, b) = PROVED(h, b) | BIT(i); OTHER_BASE(h, b) = OTHER_BASE(h, b) & ~BIT(i)
#endif
#define PROVE(i, h, b) \
  :: d_step { IS_UP(i) && HAS(counted, i) && tried && !HAS(PROVED(h, b), i) && !IS_STOPPED(i, h) && MAY_BEGIN(i) && MAY_PROVE(i, h, b) -> \
       printf("guard %d: a right proof of point %d, base %d\n", i, h, b); \
       SET_BASE(i, h, b); waited[(h) - 1] = waited[(h) - 1] & ~BIT(i); BEGIN(i) }

/* A guard counts the point, or votes once more for what it counts. Where that is not asked for, all counted it from the start. */
#ifdef COUNTS
#define VOTE(i) \
  :: d_step { IS_UP(i) && !HAS(voted, i) -> \
       printf("guard %d: counts the point\n", i); \
       counted = counted | BIT(i); voted = voted | BIT(i); tried = tried || COUNT(voted | LIARS) >= T }
#else
#define VOTE(i)
#endif

/* Holds that began at different times may be over in any order. Where time is not asked for, a hold may be over as soon as it began. */
#ifdef TIMED
#define IS_OVER(i, h) HAS(over[(h) - 1], i)
#define AGE(i, h) \
  :: d_step { HAS(HELD(h), i) && !HAS(over[(h) - 1], i) -> \
       printf("guard %d: the hold of point %d is over\n", i, h); over[(h) - 1] = over[(h) - 1] | BIT(i); waited[(h) - 1] = waited[(h) - 1] | BIT(i) }
#else
#define IS_OVER(i, h) 1
#define AGE(i, h)
#endif

/* A veto is final once so many signed `vetoed`: m-t+1, and one more for each of them that may lie. */
#ifndef MORE
#define MORE F
#endif
#define IS_ENOUGH(h) (COUNT(said[(h) - 1] | LIARS) >= M - T + 1 + (MORE))
#define IS_FINAL(h) final[(h) - 1]

/* The owner's word. A veto is kept for ever, and takes the place of an approval. What was released is vetoed no more, and nothing is signed then. */
#ifdef M_SIGNS_RELEASED
#define IS_TOO_LATE(i, h) 0
#else
#define IS_TOO_LATE(i, h) HAS(released[(h) - 1], i)
#endif
/* A guard that was rebuilt does not know what it released before: it keeps a veto of what was counted by then, and does not sign. */
#ifdef M_REBUILT_SIGNS
#define SIGNS(i) 1
#else
#define SIGNS(i) (1 - HAS(old, i))
#endif
#define VETO(i, h) \
  :: d_step { IS_UP(i) && !IS_TOO_LATE(i, h) && !(HAS(vetoed[(h) - 1], i) && (HAS(said[(h) - 1], i) || !SIGNS(i))) -> \
       printf("guard %d: a veto of point %d\n", i, h); \
       vetoed[(h) - 1] = vetoed[(h) - 1] | BIT(i); approved[(h) - 1] = approved[(h) - 1] & ~BIT(i); \
       said[(h) - 1] = said[(h) - 1] | BIT(i) * SIGNS(i); final[(h) - 1] = final[(h) - 1] || IS_ENOUGH(h) }

/* An approval names the owner's base. It is refused where another one was first, and fixes that base where none was. */
#ifdef APPROVALS
#ifdef M_APPROVAL_WINS
#define APPROVE_OVER(i, h) vetoed[(h) - 1] = vetoed[(h) - 1] & ~BIT(i)
#define IS_VETO_PASSED(i, h) 1
#else
#define APPROVE_OVER(i, h) skip
#define IS_VETO_PASSED(i, h) (!HAS(vetoed[(h) - 1], i))
#endif
#if NB == 1 || defined(M_APPROVES_ALL)
#define MAY_APPROVE(i, h) IS_VETO_PASSED(i, h)
#else
#define MAY_APPROVE(i, h) (IS_VETO_PASSED(i, h) && !HAS(PROVED(h, 2), i))
#endif
#define APPROVE(i, h) \
  :: d_step { IS_UP(i) && !HAS(approved[(h) - 1], i) && MAY_APPROVE(i, h) -> \
       printf("guard %d: an approval of point %d\n", i, h); \
       approved[(h) - 1] = approved[(h) - 1] | BIT(i); APPROVE_OVER(i, h); NOTE_OWN }
#else
#define APPROVE(i, h)
#endif
#ifdef M_APPROVES_ALL
#define IS_APPROVED(i, h, b) HAS(approved[(h) - 1], i)
#else
#define IS_APPROVED(i, h, b) (HAS(approved[(h) - 1], i) && (b) == 1)
#endif

/* Before the first release a guard asks the others. What one of them knows of a veto this guard takes over: for that VETO stands. Here are those that heard
 * of none. Their answers are of one moment: what is heard later than that can only be more. The release may come any time after. */
#define MAY_GO(i, h, b) (HAS(PROVED(h, b), i) && (IS_OVER(i, h) || IS_APPROVED(i, h, b)))
#define MAY_GO_ANY(i, h) (HAS(HELD(h), i) && (IS_OVER(i, h) || HAS(approved[(h) - 1], i)))
#ifdef P_STOPS
#define HEAR_NONE(i, h) unheard[(h) - 1] = unheard[(h) - 1] | BIT(i) * IS_FINAL(h)
#else
#define HEAR_NONE(i, h) skip
#endif
#ifndef ASKS
#define ASKS (T - 1)
#endif
#define KNOW_NONE(h) (ALL & ~lost & ~vetoed[(h) - 1])
#ifdef UNASKED
#define ASK(i, h)
#define HAS_ASKED(i, h) 1
#else
#define ASK(i, h) \
  :: d_step { IS_UP(i) && MAY_GO_ANY(i, h) && !HAS(asked[(h) - 1], i) && !HAS(released[(h) - 1], i) && !IS_STOPPED(i, h) && \
              COUNT(KNOW_NONE(h) & OTHERS(i)) >= ASKS -> \
       printf("guard %d: asks, and hears of no veto of point %d\n", i, h); \
       asked[(h) - 1] = asked[(h) - 1] | BIT(i); HEAR_NONE(i, h) }
#define HAS_ASKED(i, h) HAS(asked[(h) - 1] | released[(h) - 1], i)
#endif

/* It marks what it releases only if it knows no veto now. What it has marked it answers again. */
#ifdef M_MARKS_UNSEEN
#define IS_KEPT_BACK(i, h) 0
#else
#define IS_KEPT_BACK(i, h) IS_STOPPED(i, h)
#endif
#define RELEASE(i, h, b) \
  :: d_step { IS_UP(i) && MAY_GO(i, h, b) && HAS_ASKED(i, h) && !IS_KEPT_BACK(i, h) && !(HAS(released[(h) - 1], i) && HAS(ANSWERED(h, b), i)) -> \
       printf("guard %d: releases point %d, base %d\n", i, h, b); \
       EARLY(h, b) = EARLY(h, b) | BIT(i) * (!HAS(waited[(h) - 1] | ANSWERED(h, b), i)); \
       released[(h) - 1] = released[(h) - 1] | BIT(i); ANSWERED(h, b) = ANSWERED(h, b) | BIT(i) }

/* A restart keeps all of it. */
#if defined(M_FORGETS_VETO)
#define RESTART(i, h) :: d_step { HAS(vetoed[(h) - 1], i) -> printf("guard %d: restarts\n", i); vetoed[(h) - 1] = vetoed[(h) - 1] & ~BIT(i) }
#elif defined(M_FORGETS_RELEASE)
#define RESTART(i, h) :: d_step { HAS(released[(h) - 1], i) -> printf("guard %d: restarts\n", i); released[(h) - 1] = released[(h) - 1] & ~BIT(i) }
#else
#define RESTART(i, h)
#endif

/* A disk is lost, and the guard rebuilt from what t of the others say, or all of them where they are fewer. Its holds begin anew. Any of those may tell it the
 * owner's word. An approval it may also hear later: for that APPROVE stands. */
#if defined(LOSS) || defined(LOSS_AFTER)
#if NH > 1
#error one point only
#endif
#ifndef ASKED
#define ASKED (T < M - 1 -> T : M - 1)
#endif
#if defined(LOSS_AFTER)
#define MAY_LOSE IS_FINAL(1)
#elif defined(ONE_LOSS)
#define MAY_LOSE (!once)
#else
#define MAY_LOSE 1
#endif
#ifdef ONE_LOSS
#define IS_ONE 1
#else
#define IS_ONE 0
#endif
#define DROP(set, i) set = set & ~BIT(i)
#if NB == 1
#define DROP_BASES(i) DROP(proved[0], i)
#else
#define DROP_BASES(i) DROP(proved[0], i); DROP(proved[1], i)
#endif
#define LOSE(i) \
  :: d_step { lost == 0 && MAY_LOSE -> \
       printf("guard %d: is lost\n", i); lost = BIT(i); once = IS_ONE; DROP_BASES(i); DROP(over[0], i); DROP(waited[0], i); DROP(graced, i); \
       DROP(approved[0], i); DROP(vetoed[0], i); DROP(asked[0], i); DROP(released[0], i); \
       DROP(old, i); DROP(closed, i); WAIT_AGAIN(i); forgot = forgot | began & BIT(i); UNCOUNT(i) }
#ifdef M_SPENT_REBUILT /* what a rebuilt guard takes over was counted when others say */
#define WAIT_AGAIN(i) skip
#else
#define WAIT_AGAIN(i) DROP(waited_all, i)
#endif
#ifdef COUNTS
#define UNCOUNT(i) DROP(counted, i)
#else
#define UNCOUNT(i) skip
#endif
#ifdef M_HOLD_TOLD /* when a hold began it takes from what others say */
#define AGE_TOLD(i) over[0] = over[0] | BIT(i) * (F > 0)
#else
#define AGE_TOLD(i) skip
#endif
/* A new statement names the new guard. What the lost one signed counts no more, towards a veto that is not final or with `spent` or votes of others. */
#ifdef M_OLD_SIGNATURES
#define RENAME(i) DROP(voted, i)
#else
#define RENAME(i) DROP(said[0], i); DROP(spent, i); DROP(voted, i)
#endif
/* After a veto was final nobody asks for a signature, and without one nobody needs to know what is old. */
#if defined(LOSS) && (defined(P_VETO) || defined(P_STOPS))
#define AGE_POINT(i) old = old | BIT(i)
#else
#define AGE_POINT(i) skip
#endif
#ifdef COUNTS
#define REMEMBER(i) counted = counted | BIT(i); AGE_POINT(i)
#define REBUILD_UNCOUNTED(i) \
  :: d_step { HAS(lost, i) && COUNT(OTHERS(i) & ~vetoed[0] & ~counted) >= ASKED -> \
       printf("guard %d: is rebuilt, and hears neither of a veto nor of the point\n", i); lost = 0; RENAME(i) } \
  :: d_step { HAS(lost, i) && COUNT(OTHERS(i) & ~counted) >= ASKED && (OTHERS(i) & ~counted & vetoed[0]) && ASKED > 0 -> \
       printf("guard %d: is rebuilt with the veto, and does not hear of the point\n", i); lost = 0; vetoed[0] = vetoed[0] | BIT(i); RENAME(i) }
#define TELL(i, set) (OTHERS(i) & counted & (set))
#else
#define REMEMBER(i) AGE_POINT(i)
#define REBUILD_UNCOUNTED(i)
#define TELL(i, set) 1
#endif
#define REBUILD(i) \
  :: d_step { HAS(lost, i) && COUNT(OTHERS(i) & ~vetoed[0]) >= ASKED && TELL(i, ~vetoed[0]) -> \
       printf("guard %d: is rebuilt, and hears of no veto\n", i); lost = 0; RENAME(i); AGE_TOLD(i); REMEMBER(i) } \
  :: d_step { HAS(lost, i) && (OTHERS(i) & vetoed[0]) && ASKED > 0 && TELL(i, ALL) -> \
       printf("guard %d: is rebuilt with the veto\n", i); lost = 0; vetoed[0] = vetoed[0] | BIT(i); RENAME(i); AGE_TOLD(i); REMEMBER(i) } \
  REBUILD_UNCOUNTED(i)
#else
#define LOSE(i)
#define REBUILD(i)
#endif

/* All attempts are counted. A guard signs `spent` once the length of a hold and the grace are over since it counted the last one, or since it was rebuilt:
 * then it takes all over as counted now. And once the grace is over after the end of every hold that it knows. It begins none after that. t of these destroy
 * the record. */
#ifdef P_SPENT
#define END(i) \
  :: d_step { HAS(HELD(1) & ~graced, i) -> printf("guard %d: the hold is over, and the grace\n", i); graced = graced | BIT(i); past = past | BIT(i) } \
  :: d_step { IS_UP(i) && !HAS(waited_all, i) -> \
       printf("guard %d: a hold and the grace are over since it counted all\n", i); waited_all = waited_all | BIT(i); past = past | forgot & BIT(i) }
#ifdef M_SPENT_AT_ONCE
#define IS_DUE(i) HAS(waited_all, i)
#else
#define IS_DUE(i) HAS(waited_all & ~(HELD(1) & ~graced), i)
#endif
#define CLOSE(i) \
  :: d_step { IS_UP(i) && !HAS(closed, i) && IS_DUE(i) -> \
       printf("guard %d: signs that it is spent\n", i); closed = closed | BIT(i); spent = spent | BIT(i) }
#else
#define END(i)
#define CLOSE(i)
#endif

#define VIOLATION(what, condition) :: d_step { (condition) -> printf(#what); printf(" <- VIOLATED\n"); assert(false) }

/* What a final veto stops never opens. */
#ifdef P_VETO
#define BREAKS_VETO(h) (IS_FINAL(h) && ANY_B(OPENS, h))
#define V_VETO VIOLATION(t answered for what was vetoed, ANY_H(BREAKS_VETO))
#else
#define V_VETO
#endif

/* Nor does an honest guard that asks after it was final release it. */
#ifdef P_STOPS
#define IS_UNHEARD(h) (unheard[(h) - 1] != 0)
#define V_STOPS VIOLATION(a guard hears nothing of a final veto, ANY_H(IS_UNHEARD))
#else
#define V_STOPS
#endif

/* Nothing opens before its time: of t that answer, all but the liars waited a whole hold. Where the owner approves his own, this is asked of the other's base. */
#if defined(P_HOLD)
#define IS_EARLY(h, b) (OPENS(h, b) && COUNT(ANSWERED(h, b) & ~EARLY(h, b) | LIARS) < T)
#if defined(APPROVALS)
#define V_HOLD VIOLATION(another base opens before its time, IS_EARLY(1, 2))
#else
#define V_HOLD VIOLATION(it opens before its time, ANY_B(IS_EARLY, 1))
#endif
#else
#define V_HOLD
#endif

/* Nobody rides on another's point: two bases never open, unless so many lie that two sets of t share liars alone. Where the owner was first at more than m-t
 * guards, no other base opens. */
#ifdef P_RIDE
#define V_RIDE \
  VIOLATION(two bases of one point open, F < 2 * T - M && OPENS(1, 1) && OPENS(1, 2)) \
  VIOLATION(another base opens where the owner was first, own && OPENS(1, 2))
#elif defined(P_BOTH) /* not a violation */
#define V_RIDE VIOLATION(nothing: two bases of one point open, OPENS(1, 1) && OPENS(1, 2))
#else
#define V_RIDE
#endif

/* Nobody is locked out: were all up, and time passed, t would answer for the owner's base of a fresh point 2, whatever happened to point 1. */
#ifdef P_OWNER
#define IS_FRESH (HELD(2) == 0 && vetoed[1] == 0)
#define WOULD_ANSWER(i) (MAY_PROVE(i, 2, 1) && !IS_STOPPED(i, 2))
#define V_OWNER VIOLATION(the owner is locked out, IS_FRESH && SUM(WOULD_ANSWER) < T)
#else
#define V_OWNER
#endif

/* Where t began a hold, and its owner did not veto it, the record is not destroyed before one of these is over, and the grace after it. */
#if defined(P_SPENT) && defined(P_ALL_OVER)
#define V_SPENT VIOLATION(destroyed while one of them holds it, COUNT(spent) >= T && COUNT(began) == T && past != began)
#elif defined(P_SPENT)
#define V_SPENT VIOLATION(destroyed while it is held, COUNT(spent) >= T && COUNT(began) >= T && (began & past) == 0)
#else
#define V_SPENT
#endif

init {
end:
  do
  I_EACH_HB(PROVE)
  I_EACH_H(AGE)
#if defined(P_VETO) || defined(P_STOPS) || defined(P_OWNER)
  I_EACH_H(VETO)
#endif
  I_EACH_H(APPROVE)
  I_EACH_H(ASK)
  I_EACH_HB(RELEASE)
  I_EACH_H(RESTART)
  EACH_I(VOTE)
  EACH_I(LOSE)
  EACH_I(REBUILD)
  EACH_I(END)
  EACH_I(CLOSE)
  V_VETO
  V_STOPS
  V_HOLD
  V_RIDE
  V_OWNER
  V_SPENT
  od
}
