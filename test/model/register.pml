/* An honest etcd: the register a/<rid>, as daemon/ledger/attempts.ts and register.ts use it.
 *
 * A transaction is proposed after a linearizable read, and lands later, or is dropped: its outcome is unknown in between, whatever
 * anybody reads meanwhile. Every write changes mod_revision, so it fails the compare of all others that are under way: those are
 * let go, and what their senders do next is a new read. */

byte rg;        /* generation; 0: no record */
byte r1, r2;    /* H */
bit rerased;
byte ended;     /* generations that were erased */
int way[2];     /* transactions under way: kind, and the value to write; the larger first */
byte told;      /* attempts (number, point) on WATCHED that some coordinator saw committed, and may ask any guard for at any later time */
#ifdef RESTORES
byte made[NG];       /* in which epoch the body was made */
bit outdated;        /* restored, and not yet reconciled */
byte switched = 7;   /* replicas that serve under the newest statement */
byte told_before;
byte restores;
byte expired;        /* generations whose body is for an earlier epoch */
#endif
#define TOMBSTONE 4
#if defined(RESTORES) && (defined(ERASURES) || defined(LIAR))
byte stored;         /* what the snapshot holds: a generation, plus TOMBSTONE where it is one; 0: nothing */
byte committed;      /* generations that were in force */
#define NOTE_COMMITTED committed = committed | BIT(rg)
#else
#define stored 0
#define NOTE_COMMITTED skip
#endif

#define TX(kind, g, a, b) ((kind) | (g) << 2 | (a) << 4 | (b) << 7)
#define KIND(x) ((x) & 3)
#define TX_G(x) (((x) >> 2) & 3)
#define TX_1(x) (((x) >> 4) & 7)
#define TX_2(x) (((x) >> 7) & 7)
#define ENROLS 1
#define SPENDS 2
#define ERASES 3

#define TOLD(k, p) (2 * ((p) - 1) + (k) - 1)

#ifdef RESTORES
#ifdef M_NO_FENCE
#define READABLE 1
#else
#define READABLE (!outdated && switched)
#endif
#define FENCED(i) (!HAS(switched, i))
#else
#define READABLE 1
#define FENCED(i) 0
#endif

/* SPEND says which point came before, and etcd has the grants. */
#define FIRST_OF(set) (HAS(set, TOLD(1, 1)) -> 1 : (HAS(set, TOLD(1, 2)) -> 2 : (HAS(set, TOLD(1, 3)) -> 3 : 0)))
#define PAID(p) 1

#define SHOWS_NOTHING(i) (READABLE && !FENCED(i) && rg == 0)
#define SHOWS_LATEST(i, g) (READABLE && !FENCED(i) && rg == (g) && !rerased)
#define SHOWS_ENDED(i, g) (READABLE && !FENCED(i) && rg == (g) && rerased)
#define SHOWS_COMMITTED(i, g) (READABLE && !FENCED(i) && rg == (g) && !rerased)
/* By its tombstone, and once that is enrolled over, by those who prepared that: they were shown it. */
#define SHOWS_ERASED(i, g) (READABLE && !FENCED(i) && HAS(ended, g))
#ifdef RESTORES
/* A replica refuses a coordinator, and a body, of another epoch than its own. */
#ifdef M_ANY_EPOCH
#define ASKED(i, k, p) (HAS(told | told_before, TOLD(k, p)))
#define LOWER(i) FIRST_OF(told_before | told * (told_before == 0))
#else
#define ASKED(i, k, p) \
  (HAS(switched, i) && HAS(told, TOLD(k, p)) || !HAS(switched, i) && HAS(told_before, TOLD(k, p)))
#define LOWER(i) (HAS(switched, i) -> FIRST_OF(told) : FIRST_OF(told_before))
#endif
#define MAY_PREPARE(i, g) (HAS(switched, i) && !HAS(expired, g))
#define DATE(g) made[(g) - 1] = restores
#define OFFERING switched
#else
#define ASKED(i, k, p) HAS(told, TOLD(k, p))
#define LOWER(i) FIRST_OF(told)
#define MAY_PREPARE(i, g) 1
#define DATE(g) skip
#define OFFERING ALL
#endif

/* The device describes the record first, and names what it replaces. */
#define BEGIN(g) \
  :: d_step { !HAS(begun, g) && READABLE && rg == PREVIOUS(g) && ATLEAST_T(OFFERING) -> \
       printf("device: offers for generation %d\n", g); \
       begun = begun | BIT(g); begins = begins | BIT(g) * rerased; DATE(g); TICKETS(g, OFFERING) }

#define ROOM (way[1] == 0)
#define PUT(x) \
  if \
  :: (x) > way[0] -> way[1] = way[0]; way[0] = (x) \
  :: (x) < way[0] -> way[1] = (x) \
  :: else -> skip \
  fi
#define NOT_UNDER_WAY(x) (way[0] != (x) && way[1] != (x))
#define PROPOSE(when, what, g, x) \
  :: d_step { (when) && ROOM && NOT_UNDER_WAY(x) -> printf("coordinator proposes "); printf(#what); printf(" of generation %d\n", g); PUT(x) }

/* Once t or more prepared it. The same again changes nothing. */
#ifdef M_ANY_PREVIOUS
#define NAMES_STORED(g) 1
#else
#define NAMES_STORED(g) (rg == PREVIOUS(g) && (rg == 0 || BEGINS(g) == rerased))
#endif
#ifdef RESTORES
#define CURRENT(g) !HAS(expired, g)
#else
#define CURRENT(g) 1
#endif
#ifdef M_ENROL_RESETS
#define ENROL_AGAIN(g) \
  PROPOSE(READABLE && CURRENT(g) && ATLEAST_T(sent[(g) - 1]) && rg == (g) && !rerased, ENROL again, g, TX(ENROLS, g, 0, 0))
#else
#define ENROL_AGAIN(g)
#endif
#define ENROL(g) \
  PROPOSE(READABLE && CURRENT(g) && ATLEAST_T(sent[(g) - 1]) && rg != (g) && NAMES_STORED(g), ENROL, g, TX(ENROLS, g, 0, 0)) \
  ENROL_AGAIN(g)

#ifdef M_RETRY_SPENDS
#define NEW_POINT(p) 1
#else
#define NEW_POINT(p) (r1 != (p) && r2 != (p))
#endif
#define SPEND(p) \
  :: d_step { READABLE && rg == WATCHED && !rerased && r2 == 0 && NEW_POINT(p) && MAYBE(p) && ROOM && \
              NOT_UNDER_WAY(TX(SPENDS, rg, (r1 -> r1 : p), (r1 -> p : 0))) -> \
       printf("coordinator proposes SPEND of generation %d, point %d\n", rg, p); \
       USE(p); PUT(TX(SPENDS, rg, (r1 -> r1 : p), (r1 -> p : 0))) }

/* On a tenant's word, or exhausted and after the grace: the first covers the second. */
#define ERASE PROPOSE(READABLE && rg && !rerased, ERASE, rg, TX(ERASES, rg, 0, 0))

#ifdef M_NO_COMPARE
#define LET_GO(n) way[n] = 0; way[0] = way[0] | way[1] * (way[0] == 0); way[1] = way[1] * (way[0] != way[1])
#else
#define LET_GO(n) way[0] = 0; way[1] = 0
#endif
#define NEW_TOLD(x) BIT(TOLD((TX_2(x) -> 2 : 1), (TX_2(x) -> TX_2(x) : TX_1(x))))
#define LAND(n) \
  :: d_step { way[n] -> \
       printf("etcd commits transaction %d: kind %d, generation %d\n", n, KIND(way[n]), TX_G(way[n])); \
       rg = TX_G(way[n]); r1 = TX_1(way[n]); r2 = TX_2(way[n]); rerased = (KIND(way[n]) == ERASES); ended = ended | BIT(rg) * rerased; NOTE_COMMITTED; \
       if \
       :: KIND(way[n]) == SPENDS -> told = told | NEW_TOLD(way[n]) \
       :: else -> skip \
       fi; \
       LET_GO(n) }
#define DROP(n) \
  :: d_step { way[n] -> printf("transaction %d is dropped\n", n); way[n] = 0; way[0] = way[0] | way[1]; way[1] = way[1] * (way[0] != way[1]) }

#ifdef RESTORES
#ifndef MOST_RESTORES
#define MOST_RESTORES 1
#endif
/* By the operator's procedure: the old members' data is destroyed, so what was under way is gone; a new statement with the next
 * incarnation. What the snapshot holds of the record is outdated, and RECONCILE asks the guards. It matters only where it is a tombstone, or where no
 * guard serves anything. */
#ifdef M_NO_FENCE
#define SNAPSHOT r1 = 0; r2 = 0;
#else
#define SNAPSHOT rg = 0; r1 = 0; r2 = 0;
#endif
#if defined(ERASURES) || defined(LIAR)
#define STORE(x) stored = x;
#define RESTORES_EACH(g) RESTORE_TO(g, HAS(committed, g)) RESTORE_TO(TOMBSTONE + (g), HAS(ended, g))
#define RESTORE RESTORE_TO(0, 1) EACH_G(RESTORES_EACH)
#else
#define STORE(x)
#define RESTORE RESTORE_TO(0, 1)
#endif
#define RESTORE_TO(x, when) \
  :: d_step { restores < MOST_RESTORES && switched == 7 && rg && (when) -> \
       printf("operator restores etcd from a snapshot (%d), with the next incarnation\n", x); \
       restores++; outdated = 1; way[0] = 0; way[1] = 0; switched = 0; expired = begun; SNAPSHOT STORE(x) \
       told_before = told; told = 0 }

/* A replica starts under the new statement. */
#define SWITCH(i) \
  :: d_step { !HAS(switched, i) -> \
       printf("replica %d starts under the new statement\n", i); \
       switched = switched | BIT(i); tickets[i] = 0; recent[i] = 0; \
       if \
       :: switched == 7 -> told_before = 0 \
       :: else -> skip \
       fi }

#ifdef M_RECONCILE_UNFENCED
#define ANSWERS(set) 1
#else
#define ANSWERS(set) ((switched & (set)) == (set))
#endif
/* The latest generation that the asked guards serve. At least t of them must hold it, else nobody could be served, and others that were not
 * asked may know better. Where all were asked and fewer than t hold it, nobody was ever told of it: then the one before. */
#if defined(M_RECONCILE_FEW_HOLDERS) || defined(M_RECONCILE_GIVES_UP)
#define PASSES_OVER(set, g) 0
#else
#define PASSES_OVER(set, g) ((set) == 7 && !ATLEAST_T(HOLDERS(set, g)))
#endif
#define RANK(g) (4 * ORDER(g) + (g))
/* What the tombstone of the snapshot ended is over. */
#ifdef M_RECONCILE_FORGETS_TOMBSTONE
#define IS_OVER_IN_STORE(g) 0
#else
#define IS_OVER_IN_STORE(g) (stored > TOMBSTONE && ORDER(g) <= ORDER(stored & 3))
#endif
/* LIAR: after a restore, replica 2 tells anything. It counts as serving what t signed that they prepared, itself among them: what it signs is its own
 * business. An attempt counts that the tenant granted. */
#ifdef LIAR
byte said, said_1, said_2; /* what it says that it serves, and counted */
bit said_to_hold;          /* whatever it is asked for */
#ifdef M_RECONCILE_UNPROVEN
#define IS_SHOWN_PREPARED(g) 1
#else
#define IS_SHOWN_PREPARED(g) ATLEAST_T(sent[(g) - 1] | 4)
#endif
#ifdef M_RECONCILE_UNGRANTED
#define MAY_SAY(p) 1
#else
#define MAY_SAY(p) ((p) <= known)
#endif
#define SAY(g) :: d_step { outdated && said == 0 -> printf("replica 2 says that it serves generation %d\n", g); said = g }
#define SAY_POINT(p) \
  :: d_step { outdated && said_1 == 0 && MAY_SAY(p) -> printf("and that it counted point %d first\n", p); said_1 = p } \
  :: d_step { outdated && said_2 == 0 && MAY_SAY(p) -> printf("and that it counted point %d second\n", p); said_2 = p }
#define LIES \
  :: d_step { outdated && !said_to_hold -> printf("replica 2 says that it holds what it is asked for\n"); said_to_hold = 1 } \
  EACH_G(SAY) EACH_P(SAY_POINT)
#define SERVED_BY(i) ((i) == 2 -> (said && IS_SHOWN_PREPARED(said) -> said : 0) : live[i] * !gone[i])
#define SAYS_IT_HOLDS(i, g) ((i) == 2 -> said_to_hold || said == (g) : SERVES(i, g) || HAS(prepared[i], g))
#define UNSAY said = 0; said_1 = 0; said_2 = 0; said_to_hold = 0;
#else
#define LIES
#define SERVED_BY(i) (live[i] * !gone[i])
#define SAYS_IT_HOLDS(i, g) (SERVES(i, g) || HAS(prepared[i], g))
#define UNSAY
#endif
#define SERVED_IN(set, i) (HAS(set, i) * SERVED_BY(i))
#define RANK_OF(set, i) ((SERVED_IN(set, i) && !PASSES_OVER(set, SERVED_IN(set, i)) && !IS_OVER_IN_STORE(SERVED_IN(set, i))) -> RANK(SERVED_IN(set, i)) : 0)
#define KEEPS(set, g, i) (HAS(set, i) * BIT(i) * SAYS_IT_HOLDS(i, g))
#define HOLDERS(set, g) (KEEPS(set, g, 0) | KEEPS(set, g, 1) | KEEPS(set, g, 2))
#ifdef M_RECONCILE_FEW_HOLDERS
#define ENOUGH_HOLDERS(set, g) 1
#else
#define ENOUGH_HOLDERS(set, g) ATLEAST_T(HOLDERS(set, g))
#endif

#define REMEMBERED(k, r) (rg == WATCHED && (r) -> BIT(TOLD(k, r)) : 0)
#define LOOK_AT(set, i) \
  if \
  :: RANK_OF(set, i) > h1 -> h1 = RANK_OF(set, i) \
  :: else -> skip \
  fi
/* What t guards hold no more, and all answered, is a tombstone, by the name of the latest that is served, or else of what was stored. */
#define NAMED_BY(set, i) \
  if \
  :: SERVED_IN(set, i) && RANK(SERVED_IN(set, i)) > h2 -> h2 = RANK(SERVED_IN(set, i)) \
  :: else -> skip \
  fi
#define NAMES_STORE (stored && (h2 == 0 || ORDER(h2 & 3) <= ORDER(stored & 3)))
#if defined(ERASURES) || defined(LIAR)
#define END_OF(set) \
  NAMED_BY(set, 0); NAMED_BY(set, 1); NAMED_BY(set, 2); \
  if \
  :: h2 || stored -> \
       rg = (NAMES_STORE -> stored & 3 : h2 & 3); rerased = 1; r1 = 0; r2 = 0; outdated = 0; \
       printf("RECONCILE from guards (mask) %d: a tombstone of generation %d\n", set, rg) \
  :: else -> outdated = 0 \
  fi
#define MAY_END(set) ((set) == 7 || !(SERVED_IN(set, 0) && !IS_OVER_IN_STORE(SERVED_IN(set, 0)) || SERVED_IN(set, 1) && !IS_OVER_IN_STORE(SERVED_IN(set, 1)) || \
                                      SERVED_IN(set, 2) && !IS_OVER_IN_STORE(SERVED_IN(set, 2))))
#else
#define END_OF(set) skip
#define MAY_END(set) 1
#endif
#ifdef P_ERASED
bit revived; /* RECONCILE put in force what n-t+1 guards had destroyed on the tenant's word, or what the snapshot had as erased */
#define NOTE_REVIVED revived = revived | ATLEAST_T(struck[rg - 1]) | (stored > TOMBSTONE && ENDS(rg, stored & 3))
#else
#define NOTE_REVIVED skip
#endif
#define RECONCILE(set, a, b) \
  :: d_step { outdated && ANSWERS(set) -> \
       LOOK_AT(set, 0); LOOK_AT(set, 1); LOOK_AT(set, 2); h1 = h1 & 3; \
       if \
       :: h1 && ENOUGH_HOLDERS(set, h1) -> \
            rg = h1; MERGE(set, rg, a, b); r1 = h1 * (NP != 0); r2 = h2; \
            printf("RECONCILE from guards (mask) %d: generation %d, points %d, %d\n", set, rg, r1, r2); \
            rerased = 0; outdated = 0; NOTE_REVIVED; \
            told = told | REMEMBERED(1, r1) | REMEMBERED(2, r2) \
       :: h1 == 0 && MAY_END(set) -> END_OF(set) \
       :: else -> skip \
       fi; \
       if \
       :: !outdated -> UNSAY skip \
       :: else -> skip \
       fi; \
       h1 = 0; h2 = 0 }
#endif
