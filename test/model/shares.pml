/* Seeds in shares: each guard splits its seed t-of-(n-1) among the others, so that a lost one gets it back, and an erasure drops it everywhere.
 *
 * One generation of one record, held by all. As in attempts.pml there is one process, each event is one atomic step, any event may be the last, and a
 * share that was sent arrives late, twice or never. To replace the generation does here what to erase it does: the guard drops it and takes nothing of it
 * again. README.md says what is abstracted; run.sh holds the configurations. */

#define BIT(x) (1 << (x))
#define HAS(set, x) (((set) >> (x)) & 1)
#define COUNT(set) (HAS(set, 0) + HAS(set, 1) + HAS(set, 2) + HAS(set, 3) + HAS(set, 4))

/* N guards, T of which open the record. The last F lie: they say `erased`, and keep whatever they ever had. */
#ifndef F
#define F 0
#endif
#define ALL (BIT(N) - 1)
#define LIARS (BIT(N) - BIT(N - F))
#define OTHERS(i) (ALL & ~BIT(i))
/* Owners 0..NO-1 deal, up to ND times each: every deal is a fresh polynomial. By default all that are honest do. */
#ifndef NO
#define NO (N - F)
#endif
#ifndef ND
#define ND 1
#endif

/* What honest guards have on their disks: a bit for each guard. */
byte seed = ALL & ~LIARS; /* its own */
byte erased;              /* it erased the generation, and takes nothing of it again */
byte lost;                /* its disk is gone; no more than one at a time */
byte kept[NO * ND];       /* a share of the seed of owner i, of its deal d */
byte deals[NO];           /* how many times the owner dealt */
bit dealt;                /* owner 0: all others confirmed its last deal, and it deals no more */
/* What the world has. */
byte sent[ND];          /* owners whose shares of deal d are on their way */
byte copied[NO * ND];   /* shares that liars have, by whom they were dealt to */
byte confirmed[ND];     /* guards that confirmed deal d of owner 0 */
byte said;              /* guards that signed `erased`, as far as it counts */
bit final;              /* enough did */
/* What only the properties see. */
bit missed;             /* owner 0 was rebuilt without its seed, of which others kept t shares of one deal */

#define AT(i, d) (ND * (i) + (d) - 1)
#define KEPT(i, d) kept[AT(i, d)]
#define COPIED(i, d) copied[AT(i, d)]

/* Every choice of owner, deal and guard, as one option each. */
#if ND == 1
#define EACH_D(E, i) E(i, 1)
#define ANY_D(E, i) E(i, 1)
#define J_EACH_D(E, i, j) E(i, 1, j)
#define KEPT_ANY(i) KEPT(i, 1)
#elif ND == 2
#define EACH_D(E, i) E(i, 1) E(i, 2)
#define ANY_D(E, i) (E(i, 1) || E(i, 2))
#define J_EACH_D(E, i, j) E(i, 1, j) E(i, 2, j)
#define KEPT_ANY(i) (KEPT(i, 1) | KEPT(i, 2))
#else
#define EACH_D(E, i) E(i, 1) E(i, 2) E(i, 3)
#define ANY_D(E, i) (E(i, 1) || E(i, 2) || E(i, 3))
#define J_EACH_D(E, i, j) E(i, 1, j) E(i, 2, j) E(i, 3, j)
#define KEPT_ANY(i) (KEPT(i, 1) | KEPT(i, 2) | KEPT(i, 3))
#endif
#if NO == 1
#define EACH_O(E) E(0)
#define J_EACH_O(E, j) E(0, j)
#define J_EACH_OD(E, j) J_EACH_D(E, 0, j)
#elif NO == 2
#define EACH_O(E) E(0) E(1)
#define J_EACH_O(E, j) E(0, j) E(1, j)
#define J_EACH_OD(E, j) J_EACH_D(E, 0, j) J_EACH_D(E, 1, j)
#elif NO == 3
#define EACH_O(E) E(0) E(1) E(2)
#define J_EACH_O(E, j) E(0, j) E(1, j) E(2, j)
#define J_EACH_OD(E, j) J_EACH_D(E, 0, j) J_EACH_D(E, 1, j) J_EACH_D(E, 2, j)
#else
#define EACH_O(E) E(0) E(1) E(2) E(3)
#define J_EACH_O(E, j) E(0, j) E(1, j) E(2, j) E(3, j)
#define J_EACH_OD(E, j) J_EACH_D(E, 0, j) J_EACH_D(E, 1, j) J_EACH_D(E, 2, j) J_EACH_D(E, 3, j)
#endif
#if N - F == 1
#define EACH_J(E) E(0)
#define EACH_JOD(E) J_EACH_OD(E, 0)
#define SUM(E) E(0)
#elif N - F == 2
#define EACH_J(E) E(0) E(1)
#define EACH_JOD(E) J_EACH_OD(E, 0) J_EACH_OD(E, 1)
#define SUM(E) (E(0) + E(1))
#elif N - F == 3
#define EACH_J(E) E(0) E(1) E(2)
#define EACH_JOD(E) J_EACH_OD(E, 0) J_EACH_OD(E, 1) J_EACH_OD(E, 2)
#define SUM(E) (E(0) + E(1) + E(2))
#elif N - F == 4
#define EACH_J(E) E(0) E(1) E(2) E(3)
#define EACH_JOD(E) J_EACH_OD(E, 0) J_EACH_OD(E, 1) J_EACH_OD(E, 2) J_EACH_OD(E, 3)
#define SUM(E) (E(0) + E(1) + E(2) + E(3))
#else
#define EACH_J(E) E(0) E(1) E(2) E(3) E(4)
#define EACH_JOD(E) J_EACH_OD(E, 0) J_EACH_OD(E, 1) J_EACH_OD(E, 2) J_EACH_OD(E, 3) J_EACH_OD(E, 4)
#define SUM(E) (E(0) + E(1) + E(2) + E(3) + E(4))
#endif

#define IS_UP(i) (!HAS(lost, i))
#define DROP(set, i) set = set & ~BIT(i)
#define ADD(set, i) set = set | BIT(i)
#if ND == 1
#define DROP_OF(i, j) DROP(KEPT(i, 1), j);
#elif ND == 2
#define DROP_OF(i, j) DROP(KEPT(i, 1), j); DROP(KEPT(i, 2), j);
#else
#define DROP_OF(i, j) DROP(KEPT(i, 1), j); DROP(KEPT(i, 2), j); DROP(KEPT(i, 3), j);
#endif

/* How many shares of one deal make the seed. */
#ifdef M_SPLIT_LESS
#define ENOUGH (T - 1)
#else
#define ENOUGH T
#endif

/* Whoever has its seed deals, again and again until it knows that all others confirmed one deal. */
#define DEAL(i) \
  :: d_step { HAS(seed, i) && deals[i] < ND && !((i) == 0 && dealt) -> \
       deals[i]++; printf("guard %d: deals, %d\n", i, deals[i]); \
       ADD(sent[deals[i] - 1], i); COPIED(i, deals[i]) = LIARS }

/* A guard keeps one share for each owner. One of an earlier deal than that it refuses: deals are named in order. */
#ifdef M_KEEPS_ERASED
#define TAKES(j) 1
#else
#define TAKES(j) (!HAS(erased, j))
#endif
#if defined(M_ANY_ORDER) || ND == 1
#define IS_LATEST(i, d, j) 1
#elif ND == 2
#define IS_LATEST(i, d, j) ((d) == 2 || !HAS(KEPT(i, 2), j))
#else
#define IS_LATEST(i, d, j) ((d) == 3 || !HAS(KEPT(i, 3), j) && ((d) == 2 || !HAS(KEPT(i, 2), j)))
#endif
#ifdef P_DESTROYED
#define CONFIRM(i, d, j) skip
#else
#define CONFIRM(i, d, j) ADD(confirmed[(d) - 1], j)
#endif
#define KEEP(i, d, j) \
  :: d_step { (i) != (j) && HAS(sent[(d) - 1], i) && IS_UP(j) && TAKES(j) && !HAS(KEPT(i, d), j) && IS_LATEST(i, d, j) -> \
       printf("guard %d: keeps a share of guard %d, deal %d\n", j, i, d); DROP_OF(i, j) ADD(KEPT(i, d), j); CONFIRM(i, d, j) }
#define HEAR(i, d) \
  :: d_step { !dealt && IS_UP(i) && deals[i] == (d) && COUNT(confirmed[(d) - 1] | LIARS) >= N - 1 -> printf("guard %d: all confirmed deal %d\n", i, d); dealt = 1 }

/* It gives shares to their owner alone, once the statement says that its guard was lost. */
#ifdef M_GIVES_ANYBODY
#define GIVE(i, d, j) \
  :: d_step { HAS(KEPT(i, d), j) && F > 0 && !HAS(COPIED(i, d), j) -> \
       printf("guard %d: gives a liar its share of guard %d, deal %d\n", j, i, d); ADD(COPIED(i, d), j) }
#else
#define GIVE(i, d, j)
#endif

/* To erase drops its own seed and all shares. It is done once n-t+1 signed so, and one more for each of them that may lie. */
#ifndef LESS
#define LESS 0
#endif
#ifdef M_LEAVES_SHARES
#define DROP_ALL_OF(i, j)
#else
#define DROP_ALL_OF(i, j) DROP_OF(i, j)
#endif
#define ERASE(j) \
  :: d_step { IS_UP(j) && !HAS(erased, j) -> \
       printf("guard %d: erases, and signs\n", j); \
       DROP(seed, j); J_EACH_O(DROP_ALL_OF, j) \
       ADD(erased, j); ADD(said, j); final = final || COUNT(said | LIARS) >= N - T + 1 + F - LESS }

/* A disk is lost, with its tombstones, too. The new guard is named by a new statement: what was sent under the old one is refused, what the lost one signed counts no
 * more, and all deal anew. It has its seed again if others give it enough shares of one deal. A liar may give one, or not. */
#ifdef M_ANY_STATEMENT
#define RESEND
#elif ND == 1
#define RESEND sent[0] = 0;
#elif ND == 2
#define RESEND sent[0] = 0; sent[1] = 0;
#else
#define RESEND sent[0] = 0; sent[1] = 0; sent[2] = 0;
#endif
#if ND == 1
#define UNCONFIRM confirmed[0] = 0;
#elif ND == 2
#define UNCONFIRM confirmed[0] = 0; confirmed[1] = 0;
#else
#define UNCONFIRM confirmed[0] = 0; confirmed[1] = 0; confirmed[2] = 0;
#endif
#ifdef M_OLD_SIGNATURES
#define RENAME(i)
#else
#define RENAME(i) DROP(said, i);
#endif
#define IS_BACKED(i, d) (COUNT(KEPT(i, d)) >= ENOUGH)
#define MAY_BE_BACKED(i, d) (COUNT(KEPT(i, d) | COPIED(i, d)) >= ENOUGH)
#ifdef M_MIXES /* it takes any shares, of whatever deal */
#define FINDS(i) (ANY_D(IS_BACKED, i) && !MIXED(i))
#define MIXED(i) (COUNT(KEPT_ANY(i)) >= ENOUGH && (KEPT(i, 1) != 0) + (KEPT(i, 2) != 0) > 1)
#else
#define FINDS(i) ANY_D(IS_BACKED, i)
#endif
#if defined(LOSS)
#define LOSE(j) \
  :: d_step { lost == 0 -> printf("guard %d: is lost\n", j); lost = BIT(j); DROP(seed, j); DROP(erased, j); J_EACH_O(DROP_OF, j) UNCONFIRM }
#define REBUILD(i) \
  :: d_step { HAS(lost, i) && (i) < NO && ANY_D(MAY_BE_BACKED, i) -> \
       printf("guard %d: is rebuilt with its seed\n", i); lost = 0; ADD(seed, i); RENAME(i) RESEND dealt = 0 } \
  :: d_step { HAS(lost, i) && ((i) >= NO || !FINDS(i)) -> \
       printf("guard %d: is rebuilt without its seed\n", i); missed = missed || (i) == 0 && ANY_D(IS_BACKED, i); lost = 0; RENAME(i) RESEND dealt = 0 }
#else
#define LOSE(j)
#define REBUILD(i)
#endif

#define VIOLATION(what, condition) :: d_step { (condition) -> printf(#what); printf(" <- VIOLATED\n"); assert(false) }

/* What is erased opens no more, whoever has all tokens, and all that is stored anywhere. */
#ifdef P_DESTROYED
#define IS_MADE(i) ((i) < NO -> HAS(seed, i) || ANY_D(MAY_BE_BACKED, i) : HAS(seed, i))
#define V_DESTROYED VIOLATION(what is erased opens, final && SUM(IS_MADE) + F >= T)
#else
#define V_DESTROYED
#endif

/* Whose deal all others confirmed gets its seed back, while no other is lost. */
#ifdef P_KEPT
#define V_KEPT VIOLATION(the seed is lost, missed || dealt && !(lost & ~1) && !ANY_D(IS_BACKED, 0))
#else
#define V_KEPT
#endif

/* Not a violation: all others kept shares of one deal, and while the next one is under way there are t of none. */
#ifdef P_GAP
#define IS_FULL(i, d) (COUNT(confirmed[(d) - 1]) >= N - 1)
#define V_GAP VIOLATION(nothing: t shares of no deal, lost == 0 && ANY_D(IS_FULL, 0) && !ANY_D(IS_BACKED, 0))
#else
#define V_GAP
#endif

init {
end:
  do
  EACH_O(DEAL)
  EACH_JOD(KEEP)
  EACH_JOD(GIVE)
#ifdef P_DESTROYED
  EACH_J(ERASE)
#else
  EACH_D(HEAR, 0)
#endif
  EACH_J(LOSE)
  EACH_J(REBUILD)
  V_DESTROYED
  V_KEPT
  V_GAP
  od
}
