/* What must hold in every state. Each is switched on by its own flag, so that a mutant is caught by the property it breaks. */

#define VIOLATION(what, condition) :: d_step { (condition) -> printf(#what); printf(" <- VIOLATED\n"); assert(false) }

#ifdef HOSTILE
#define MOST 4 /* limit * floor((m - f) / (t - f)) with m = 3, t = 2, f = 1 */
#else
#define MOST LIMIT
#endif
#if NP == 5
#define ALL_TRIED (TRIED(1) + TRIED(2) + TRIED(3) + TRIED(4) + TRIED(5))
#elif NP == 4
#define ALL_TRIED (TRIED(1) + TRIED(2) + TRIED(3) + TRIED(4))
#else
#define ALL_TRIED (TRIED(1) + TRIED(2) + TRIED(3))
#endif
#if NG == 1
#define ANY_G(E) (E(1))
#define ANY_GG(E) 0
#elif NG == 2
#define ANY_G(E) (E(1) || E(2))
#define ANY_GG(E) E(2, 1)
#else
#define ANY_G(E) (E(1) || E(2) || E(3))
#define ANY_GG(E) (E(2, 1) || E(3, 1) || E(3, 2))
#endif
#define ACKNOWLEDGED(g) ATLEAST_T(enrolled[(g) - 1])

/* P2, and P3 with a hostile replica. */
#ifdef P_LIMIT
#define V_LIMIT VIOLATION(more points were tried than the limit allows, ALL_TRIED > MOST)
#else
#define V_LIMIT
#endif
/* Not a violation: shows that the bound of P3 is reached. */
#ifdef P_REACHED
#define V_REACHED VIOLATION(nothing: the bound is reached, ALL_TRIED == MOST)
#else
#define V_REACHED
#endif

/* P5: a point is one attempt. */
#ifdef P_RETRY
#define TWICE(p) ((told >> TOLD(1, p)) & 3) == 3
#define V_RETRY VIOLATION(a point was charged twice, TWICE(1) || TWICE(2) || TWICE(3))
#else
#define V_RETRY
#endif

/* The second comes after a first: whoever counts attempts by their numbers counts too few of none. */
#ifdef P_ORDER
#define OTHER_AT(i, k, p) (AT(i, k) != 0 && AT(i, k) != (p))
#define SKIPS_1(i, p) (HAS_VOTED(i, 2, p) && !OTHER_AT(i, 1, p))
#if LIMIT == 2
#define SKIPS_BEFORE(i, p) (SERVES(i, WATCHED) && SKIPS_1(i, p))
#else
#define SKIPS_2(i, p) (HAS_VOTED(i, 3, p) && !(OTHER_AT(i, 1, p) && OTHER_AT(i, 2, p) && AT(i, 1) != AT(i, 2)))
#define SKIPS_BEFORE(i, p) (SERVES(i, WATCHED) && (SKIPS_1(i, p) || SKIPS_2(i, p)))
#endif
#if NP == 4
#define SKIPS(i) (SKIPS_BEFORE(i, 1) || SKIPS_BEFORE(i, 2) || SKIPS_BEFORE(i, 3) || SKIPS_BEFORE(i, 4))
#else
#define SKIPS(i) (SKIPS_BEFORE(i, 1) || SKIPS_BEFORE(i, 2) || SKIPS_BEFORE(i, 3))
#endif
#define V_ORDER VIOLATION(a guard voted for a later attempt and counted fewer others before it, SUM_I(SKIPS))
#else
#define V_ORDER
#endif

/* Nobody but the tenant uses attempts up. */
#ifdef P_GRANTED
#define ALL_PAID (PAID(1) + PAID(2) + PAID(3))
#define V_GRANTED \
  VIOLATION(a guard counted more attempts than the tenant granted, COUNTED(0) > ALL_PAID || COUNTED(1) > ALL_PAID || COUNTED(2) > ALL_PAID)
#else
#define V_GRANTED
#endif

/* Nobody is locked out: if everything were up from here on, t guards would vote for every attempt that is paid for, and for a
 * fresh point unless the limit is spent. 6 is the name of a fresh point. Only the device of that very point has to be there: all others may
 * be gone for good, with their grants expired, and send nothing again. */
#ifdef P_LOCKOUT
#ifdef RESTORES
#define ALL_UP (!outdated && switched == 7)
#else
#define ALL_UP 1
#endif
#define PROMOTABLE(i) (HAS(prepared[i], rg) && IS_SIGNED(rg))
#define WOULD_COUNT(i, k, p) (SERVES(i, rg) -> MAY_COUNT(i, k, p, r1) : (k) == 1 || IS_SHOWN(p, r1))
#define WILLING(i, k, p) ((SERVES(i, rg) || PROMOTABLE(i)) && WOULD_COUNT(i, k, p))
#if N == 3
#define STUCK(k, p) (WILLING(0, k, p) + WILLING(1, k, p) + WILLING(2, k, p) < T)
#elif N == 4
#define STUCK(k, p) (WILLING(0, k, p) + WILLING(1, k, p) + WILLING(2, k, p) + WILLING(3, k, p) < T)
#else
#define STUCK(k, p) (WILLING(0, k, p) + WILLING(1, k, p) + WILLING(2, k, p) + WILLING(3, k, p) + WILLING(4, k, p) < T)
#endif
#ifdef RESTORES
#define IS_AHEAD(i) (RANK_OF(7, i) >= RANK_OF(7, 0) && RANK_OF(7, i) >= RANK_OF(7, 1) && RANK_OF(7, i) >= RANK_OF(7, 2))
#define RECONCILES_TO(i) (RANK_OF(7, i) && IS_AHEAD(i) && ENOUGH_HOLDERS(7, live[i]))
#define V_IRRECONCILABLE \
  VIOLATION(all guards answer and the record cannot be reconciled, \
            outdated && switched == 7 && ANY_G(ACKNOWLEDGED) && !(RECONCILES_TO(0) || RECONCILES_TO(1) || RECONCILES_TO(2)))
#else
#define V_IRRECONCILABLE
#endif
/* So they would for a fresh enrolment, over a tombstone or with the signature of the owner, once they were shown what was erased. */
#define PENDING(i, g) (HAS(ended, g) && (SERVES(i, g) || HAS(prepared[i], g) || IS_SIGNED(g)) && IS_NEWS(i, g))
#if NG == 3
#define TO_FORGET(i) (PENDING(i, 1) || PENDING(i, 2) || PENDING(i, 3))
#elif NG == 2
#define TO_FORGET(i) (PENDING(i, 1) || PENDING(i, 2))
#else
#define TO_FORGET(i) PENDING(i, 1)
#endif
#define WOULD_PREPARE(i) (TO_FORGET(i) || (rg == 0 || rerased -> BOUND(i) == 0 : SERVES(i, rg) || IS_SIGNED(rg) && MAY_TAKE(i, rg)))
#define V_LOCKOUT V_IRRECONCILABLE \
  VIOLATION(a fresh enrolment is refused, ALL_UP && SUM_I(WOULD_PREPARE) < T) \
  VIOLATION(an attempt that was paid for gets no votes, ALL_UP && rg && !rerased && \
            (r1 && STUCK(1, r1) || r2 && STUCK(2, r2))) \
  VIOLATION(a fresh point is refused although the limit is not spent, ALL_UP && rg && !rerased && r2 == 0 && \
            (r1 == 0 && STUCK(1, 6) || r1 && STUCK(2, 6)))
#else
#define V_LOCKOUT
#endif

/* P6: what t replicas signed for is there until it is replaced or erased. Each of them serves it, and agrees with the register. */
#ifdef P_KEPT
#ifdef RESTORES
/* After a restore a replica may have gone on to a generation that nobody acknowledged and etcd lost: t others have it then. */
#define SHOWS_ANYTHING (!outdated)
#define HELD(i) (SERVES(i, rg) || HAS(prepared[i], rg))
#define KEPT (HELD(0) + HELD(1) + HELD(2) >= T)
#else
#define SHOWS_ANYTHING 1
#define FITS(i, k, r) (AT(i, k) == 0 || AT(i, k) == (r))
#define KEPT_BY(i) (!HAS(enrolled[rg - 1], i) || SERVES(i, rg) && FITS(i, 1, r1) && FITS(i, 2, r2))
#define KEPT (SUM_I(KEPT_BY) == N)
#endif
#define FORGOTTEN(g) ACKNOWLEDGED(g) && rg != (g) && !REPLACES(rg, g)
#define V_KEPT \
  VIOLATION(an acknowledged generation is not what etcd shows, SHOWS_ANYTHING && ANY_G(FORGOTTEN)) \
  VIOLATION(an acknowledged generation cannot be served, SHOWS_ANYTHING && rg && !rerased && ACKNOWLEDGED(rg) && !KEPT)
#else
#define V_KEPT
#endif

/* No older generation is served by t again. */
#ifdef P_OLDER
#define BACK(b, a) (ACKNOWLEDGED(b) && REPLACES(b, a) && SERVES(0, a) + SERVES(1, a) + SERVES(2, a) >= T)
#define V_OLDER VIOLATION(an older generation is back, ANY_GG(BACK))
#else
#define V_OLDER
#endif

/* RECONCILE: what t guards counted is in the register, or that is full. After one restore it has its number, too. */
#ifdef P_COUNTER
#define IS_FORGOTTEN(p) (TRIED(p) && r1 != (p) && r2 != (p) && r2 == 0)
#define V_COUNTER \
  VIOLATION(the register has less than t guards counted, READABLE && rg == WATCHED && !rerased && (IS_FORGOTTEN(1) || IS_FORGOTTEN(2) || IS_FORGOTTEN(3)))
#else
#define V_COUNTER
#endif
#ifdef P_NUMBERS
#define IS_RENUMBERED(k, r) (VOTED(k, 1) && (r) != 1 || VOTED(k, 2) && (r) != 2 || VOTED(k, 3) && (r) != 3)
#define V_NUMBERS \
  VIOLATION(what t guards counted has another number, READABLE && rg == WATCHED && !rerased && (IS_RENUMBERED(1, r1) || IS_RENUMBERED(2, r2)))
#else
#define V_NUMBERS
#endif

/* Whatever etcd says, a record that was acknowledged is not lost: t guards hold that generation, or one that comes after it in its owner's name;
 * t of them signed for it; unless the tenant signed that it may go. */
#ifdef P_LOST
#if defined(GRANTS)
#define MAY_GO(g) HAS(granted, g)
#else
#define MAY_GO(g) 0
#endif
#define STILL_HOLDS(i, g) (SERVES(i, g) || HAS(prepared[i], g))
#define IS_HELD(g) (ATLEAST_T(sent[(g) - 1]) && STILL_HOLDS(0, g) + STILL_HOLDS(1, g) + STILL_HOLDS(2, g) >= T)
#ifdef FORGER
#define BY_OWNER(h, g) 0
#else
#define BY_OWNER(h, g) (LINE(h) == LINE(g) && COMES_AFTER(h, g))
#endif
#define STANDS_FOR(h, g) (((h) == (g) || BY_OWNER(h, g)) && (IS_HELD(h) || MAY_GO(h)))
#define IS_LOST(g) (ACKNOWLEDGED(g) && !(STANDS_FOR(1, g) || STANDS_FOR(2, g) || STANDS_FOR(3, g)))
#define V_LOST VIOLATION(what was acknowledged is held by t guards no more, ANY_G(IS_LOST))
#else
#define V_LOST
#endif

/* What the tenant had erased, and what was prepared to come after it: once n-t+1 guards destroyed it on the tenant's word, t serve it no more. */
#ifdef P_ERASED
#define IS_BACK(h) (ATLEAST_T(struck[(h) - 1]) && SERVES(0, h) + SERVES(1, h) + SERVES(2, h) >= T)
#ifdef RESTORES
#define V_ERASED \
  VIOLATION(what the tenant had erased is served again, ANY_G(IS_BACK)) \
  VIOLATION(RECONCILE put in force what was erased, revived)
#else
#define V_ERASED VIOLATION(what the tenant had erased is served again, ANY_G(IS_BACK))
#endif
#else
#define V_ERASED
#endif

/* One replica, 2, says anything after a restore: it neither adds attempts that were not granted, nor names what no other one prepared; and what both others
 * serve, or counted, stays. */
#ifdef P_LIAR
#define IS_PASSED_OVER(g) (SERVES(0, g) && SERVES(1, g) && (rerased || rg != (g) && !REPLACES(rg, g)))
#define IS_UNCOUNTED(p) ((VOTED_BY_BOTH(1, p) || VOTED_BY_BOTH(2, p)) && r1 != (p) && r2 != (p) && r2 == 0)
#define VOTED_BY_BOTH(k, p) ((VOTERS(k, p) & 3) == 3)
#if NP == 0
#define V_LIAR_COUNTS
#else
#define V_LIAR_COUNTS \
  VIOLATION(there are more attempts than were granted, READABLE && (r1 != 0) + (r2 != 0) > known) \
  VIOLATION(what both others counted is not in the register, \
            READABLE && rg == WATCHED && !rerased && (IS_UNCOUNTED(1) || IS_UNCOUNTED(2) || IS_UNCOUNTED(3)))
#endif
#define V_LIAR \
  V_LIAR_COUNTS \
  VIOLATION(etcd names what no honest replica prepared, READABLE && restores && rg && (sent[rg - 1] & 3) == 0) \
  VIOLATION(what both others serve is not in force, READABLE && ANY_G(IS_PASSED_OVER))
#else
#define V_LIAR
#endif

#define VIOLATIONS V_LIAR V_LIMIT V_LOST V_ERASED V_REACHED V_RETRY V_LOCKOUT V_KEPT V_ORDER V_GRANTED V_OLDER V_COUNTER V_NUMBERS
