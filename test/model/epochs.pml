/* A fleet that gets another n and another t: docs/PROTOCOL.md, section 8. Statement 1 is in force, then statement 2, which lists epoch 1 as well.
 * What was enrolled under epoch 1 goes by the n, t and replicas of epoch 1 for ever.
 *
 * As in attempts.pml there is one process, each event is one atomic step, any event may be the last, and what was signed stays signed. etcd lies:
 * it shows anybody anything. Replicas take up statement 2 one by one; one that is not in it serves on under statement 1. Tickets, erasures
 * and the order of attempts are in attempts.pml. README.md says what is abstracted; run.sh holds the configurations. */

#define BIT(x) (1 << (x))
#define HAS(set, x) (((set) >> (x)) & 1)
#define COUNT(set) (HAS(set, 0) + HAS(set, 1) + HAS(set, 2) + HAS(set, 3) + HAS(set, 4))

/* R1, R2: the replicas of each epoch, as masks, by flags. A bit is one replica's for ever. t is a majority. */
#if (R1 | R2) < 16
#define N 4
#else
#define N 5
#endif
#define R(e) ((e) == 1 -> R1 : R2)
#define T(e) (COUNT(R(e)) / 2 + 1)

#ifndef NG
#define NG 2 /* generations 1..NG of one record */
#endif

byte moved = R2 & ~R1; /* replicas that serve under statement 2; who is new does from the start */
byte live[N];          /* the generation served; 0: none yet */
/* Of generation g: */
byte made[NG + 1];     /* its body's epoch; 0: not begun */
byte shares[NG + 1];   /* its holders, as the body names them */
byte sent[NG + 1];     /* replicas that signed `prepared` */
byte enrolled[NG + 1]; /* replicas that signed `enrolled` under the statement of its epoch: its device goes by that one */

#define AT(i) (1 + HAS(moved, i)) /* the statement that a replica serves under */
#define UNDER(s) ((s) == 1 -> R1 & ~moved : moved)

/* body.previous and body.number. By default each replaces the one before. SIBLINGS: 2 and 3 both replace 1. FIRSTS: etcd hides 1 from the device
 * that enrols 2: another line. */
#if defined(SIBLINGS)
#define PREVIOUS(g) ((g) == 1 -> 0 : 1)
#define NUMBER(g) (PREVIOUS(g) + 1)
#elif defined(FIRSTS)
#define PREVIOUS(g) 0
#define NUMBER(g) 1
#else
#define PREVIOUS(g) ((g) - 1)
#define NUMBER(g) (g)
#endif
/* The order of bodies: epoch, number, and g for the hash. */
#define ORDER(g) (4 * made[g] + NUMBER(g))
#define IS_NEWER(a, b) (ORDER(a) > ORDER(b) || ORDER(a) == ORDER(b) && (a) > (b))
#ifdef FIRSTS
#define SAME_LINE(a, b) ((a) == (b))
#else
#define SAME_LINE(a, b) 1
#endif
#define COMES_AFTER(a, b) (SAME_LINE(a, b) && IS_NEWER(a, b))

/* Whose signatures count for a generation under a statement: those of its holders, by keys in force. A key that is not in force may have been
 * stolen, and sign anything. */
#ifdef M_REVOKED_COUNTS
#define VALID(set, g, s) (((set) | ~R(s)) & shares[g])
#else
#define VALID(set, g, s) ((set) & R(s) & shares[g])
#endif
/* How many it takes. */
#if defined(M_T_IN_FORCE)
#define T_OF(g, s) T(s)
#elif defined(M_T_CLAIMED) /* 2 is the least that anything can claim */
#define T_OF(g, s) 2
#else
#define T_OF(g, s) T(made[g])
#endif
#define BY_T(set, g, s) (made[g] && made[g] <= (s) && COUNT(VALID(set, g, s)) >= T_OF(g, s))

/* What a guard prepared it keeps until it serves that, or what does not come before it. */
#define IS_PREPARED(i, g) (HAS(sent[g], i) && (g) != live[i] && (live[i] == 0 || COMES_AFTER(g, live[i])))
#define HOLDS(i, g) (live[i] == (g) || IS_PREPARED(i, g))
#define SERVES(i, g) (live[i] == (g))
#define IS_SERVED(g) (BY_T(THOSE(SERVES, g) & UNDER(1), g, 1) || BY_T(THOSE(SERVES, g) & UNDER(2), g, 2))

/* A device takes its enrolment for done once t signed `enrolled`, and of every epoch that its statement lists n-t+1 are among them: they serve
 * nothing that came before, and fewer than t are left that may. Who left the fleet may serve on, so it counts in n. */
#ifdef M_LEFT_FORGOTTEN
#define MAY_HOLD(e, s) (R(e) & R(s))
#else
#define MAY_HOLD(e, s) R(e)
#endif
#define MEETS(e, s, set) (COUNT((set) & MAY_HOLD(e, s)) >= COUNT(MAY_HOLD(e, s)) - T(e) + 1)
/* One that recovered knows the body that it replaces: who holds that, and of what epoch it is. That is too little. */
#define MEETS_BODY(p, set) (COUNT((set) & shares[p]) >= COUNT(shares[p]) - T(made[p]) + 1)
#if defined(M_ACKNOWLEDGED_AT_T)
#define IS_DROPPED(p, s, set) 1
#elif defined(M_BODY_ALONE)
#define IS_DROPPED(p, s, set) ((p) == 0 || MEETS_BODY(p, set))
#elif defined(M_BODY_AND_BEFORE)
#define IS_DROPPED(p, s, set) ((p) == 0 || MEETS_BODY(p, set) && (made[p] == 1 || MEETS(1, s, set)))
#else
#define IS_DROPPED(p, s, set) (MEETS(1, s, set) && ((s) == 1 || MEETS(2, s, set)))
#endif
#if defined(M_BODY_ALONE) || defined(M_BODY_AND_BEFORE)
#define IS_KNOWN(p) ((p) == 0 || COUNT(enrolled[p]) >= T(made[p]))
#else
#define IS_KNOWN(p) 1
#endif
#define ACKNOWLEDGED(g) (made[g] && COUNT(enrolled[g]) >= T(made[g]) && IS_DROPPED(PREVIOUS(g), made[g], enrolled[g]))

/* Every choice of replica, generation and point, as one option each. */
#if NG == 1
#define ANY_G(E) E(1)
#define G_ANY_H(E, g) E(1, g)
#define ANY_GG(E) 0
#define EACH_G(E) E(1)
#define I_EACH_G(E, i) E(i, 1)
#elif NG == 2
#define ANY_G(E) (E(1) || E(2))
#define G_ANY_H(E, g) (E(1, g) || E(2, g))
#define ANY_GG(E) (E(2, 1) || E(1, 2))
#define EACH_G(E) E(1) E(2)
#define I_EACH_G(E, i) E(i, 1) E(i, 2)
#else
#define ANY_G(E) (E(1) || E(2) || E(3))
#define G_ANY_H(E, g) (E(1, g) || E(2, g) || E(3, g))
#define ANY_GG(E) (E(2, 1) || E(3, 1) || E(3, 2) || E(2, 3))
#define EACH_G(E) E(1) E(2) E(3)
#define I_EACH_G(E, i) E(i, 1) E(i, 2) E(i, 3)
#endif
#if N == 4
#define EACH_I(E) E(0) E(1) E(2) E(3)
#define EACH_IG(E) I_EACH_G(E, 0) I_EACH_G(E, 1) I_EACH_G(E, 2) I_EACH_G(E, 3)
#define EACH_IP(E) E(0, 1) E(1, 1) E(2, 1) E(3, 1) E(0, 2) E(1, 2) E(2, 2) E(3, 2)
#define THOSE(E, g) (E(0, g) | BIT(1) * E(1, g) | BIT(2) * E(2, g) | BIT(3) * E(3, g))
#define SUM(E, g) (E(0, g) + E(1, g) + E(2, g) + E(3, g))
#else
#define EACH_I(E) E(0) E(1) E(2) E(3) E(4)
#define EACH_IG(E) I_EACH_G(E, 0) I_EACH_G(E, 1) I_EACH_G(E, 2) I_EACH_G(E, 3) I_EACH_G(E, 4)
#define EACH_IP(E) E(0, 1) E(1, 1) E(2, 1) E(3, 1) E(4, 1) E(0, 2) E(1, 2) E(2, 2) E(3, 2) E(4, 2)
#define THOSE(E, g) (E(0, g) | BIT(1) * E(1, g) | BIT(2) * E(2, g) | BIT(3) * E(3, g) | BIT(4) * E(4, g))
#define SUM(E, g) (E(0, g) + E(1, g) + E(2, g) + E(3, g) + E(4, g))
#endif

#define MOVE(i) \
  :: d_step { HAS(R2, i) && !HAS(moved, i) -> printf("replica %d serves under statement 2\n", i); moved = moved | BIT(i) }

/* A device has offers of t replicas or more that serve under one statement. What could never be acknowledged is not begun. */
byte by, offers; /* 0 between steps */
#define MAY_BE_SILENT(i) \
  if \
  :: HAS(offers, i) -> offers = offers & ~BIT(i) \
  :: true -> skip \
  fi;
#define BEGIN(g) \
  :: atomic { made[g] == 0 && (PREVIOUS(g) == 0 || made[PREVIOUS(g)] && IS_KNOWN(PREVIOUS(g))) -> \
       if \
       :: by = 1 \
       :: by = 2 \
       fi; \
       offers = UNDER(by); EACH_I(MAY_BE_SILENT) \
       if \
       :: COUNT(offers) >= T(by) && made[PREVIOUS(g)] <= by && IS_DROPPED(PREVIOUS(g), by, offers) -> \
            printf("device: generation %d of epoch %d, offers of (mask) %d\n", g, by, offers); made[g] = by; shares[g] = offers \
       :: else -> skip \
       fi; \
       by = 0; offers = 0 }

/* A replica prepares no body of another epoch than its own, and none in the place of what fewer than t prepared. */
#define BINDS(i, g) (PREVIOUS(g) && IS_PREPARED(i, g))
#if NG == 3
#define IS_BOUND(i) (live[i] || BINDS(i, 2) || BINDS(i, 3))
#elif NG == 2
#define IS_BOUND(i) (live[i] || BINDS(i, 2))
#else
#define IS_BOUND(i) live[i]
#endif
#define MAY_REPLACE(i, p) ((p) == 0 -> !IS_BOUND(i) : SERVES(i, p) || BY_T(sent[p], p, AT(i)))
#define PREPARE(i, g) \
  :: d_step { made[g] == AT(i) && HAS(shares[g], i) && !HAS(sent[g], i) && (live[i] == 0 || ORDER(g) > ORDER(live[i])) && MAY_REPLACE(i, PREVIOUS(g)) -> \
       printf("replica %d prepares generation %d\n", i, g); sent[g] = sent[g] | BIT(i) }

#define PROMOTE(i, g) \
  :: d_step { IS_PREPARED(i, g) && BY_T(sent[g], g, AT(i)) -> \
       printf("replica %d promotes generation %d and signs\n", i, g); \
       live[i] = g; enrolled[g] = enrolled[g] | BIT(i) * (made[g] == AT(i)) }

/* One attempt on WATCHED, for which a lying etcd shows two points. Votes name the statement: what a guard counted it votes for again under the next. */
#ifdef WATCHED
byte votes[4]; /* replicas that voted for point p under statement s */
#define VOTED(s, p) votes[2 * (s) + (p) - 3]
#define COUNTED(p) (VOTED(1, p) | VOTED(2, p))
#ifdef M_VOTES_ONCE
#define MAY_VOTE(i, p) !HAS(COUNTED(1) | COUNTED(2), i)
#else
#define MAY_VOTE(i, p) !HAS(COUNTED(3 - (p)), i)
#endif
#ifdef ONE_POINT
#define IS_ASKED(p) ((p) == 1)
#else
#define IS_ASKED(p) ((p) == 1 || COUNTED(1)) /* points are alike: 1 is the first that anybody counts */
#endif
#define VOTE(i, p) \
  :: d_step { SERVES(i, WATCHED) && IS_ASKED(p) && MAY_VOTE(i, p) && !HAS(VOTED(AT(i), p), i) -> \
       printf("replica %d votes under statement %d: point %d\n", i, AT(i), p); VOTED(AT(i), p) = VOTED(AT(i), p) | BIT(i) }
#define VOTES EACH_IP(VOTE)
#define IS_TRIED(p) (BY_T(VOTED(1, p), WATCHED, 1) || BY_T(VOTED(2, p), WATCHED, 2))
#define IS_WILLING(i, h) (HAS(R2, i) && HOLDS(i, h) && ((h) != WATCHED || HAS(VOTED(2, 1), i) || MAY_VOTE(i, 1)))
#else
#define VOTES
#define IS_WILLING(i, h) (HAS(R2, i) && HOLDS(i, h))
#endif

#define VIOLATION(what, condition) :: d_step { (condition) -> printf(#what); printf(" <- VIOLATED\n"); assert(false) }

/* P2: one attempt is one point. */
#ifdef P_LIMIT
#define V_LIMIT VIOLATION(two points of one attempt were tried, IS_TRIED(1) && IS_TRIED(2))
#else
#define V_LIMIT
#endif

/* What is older than an acknowledged one t serve under no statement. */
#ifdef P_OLDER
#define BACK(b, a) (ACKNOWLEDGED(b) && made[a] && IS_NEWER(b, a) && IS_SERVED(a))
#define V_OLDER VIOLATION(an older generation is back, ANY_GG(BACK))
#else
#define V_OLDER
#endif

/* P6: what was acknowledged, or came after it, is held by t replicas of its own epoch; those that left are among them. */
#define STANDS_FOR(h, g) (made[h] && ((h) == (g) || COMES_AFTER(h, g)))
#ifdef P_LOST
#define IS_HELD(h, g) (STANDS_FOR(h, g) && SUM(HOLDS, h) >= T(made[h]))
#define IS_LOST(g) (ACKNOWLEDGED(g) && !G_ANY_H(IS_HELD, g))
#define V_LOST VIOLATION(what was acknowledged is held by t replicas no more, ANY_G(IS_LOST))
#else
#define V_LOST
#endif

/* Nobody is locked out: were all up and under statement 2, an attempt on what was acknowledged, or came after it, would get its votes. Whoever takes
 * replicas away sees to it that t stay of those that prepared a generation which t prepared. */
#ifdef P_LOCKOUT
#define LEAVES_FEW(g) (made[g] && COUNT(sent[g]) >= T(made[g]) && COUNT(sent[g] & R2) < T(made[g]))
#define WOULD_VOTE(h, g) (STANDS_FOR(h, g) && SUM(IS_WILLING, h) >= T_OF(h, 2))
#define IS_STUCK(g) (ACKNOWLEDGED(g) && !G_ANY_H(WOULD_VOTE, g))
#define V_LOCKOUT VIOLATION(an attempt gets no votes, !ANY_G(LEAVES_FEW) && ANY_G(IS_STUCK))
#else
#define V_LOCKOUT
#endif

/* Not violations: they show that what the properties are about is reached. */
#if defined(P_REPLACED) /* what was acknowledged before the change is replaced after it */
#define V_REACHED VIOLATION(nothing: it is replaced, made[1] == 1 && ACKNOWLEDGED(1) && made[NG] == 2 && ACKNOWLEDGED(NG))
#elif defined(P_VOTED_IN_BOTH) /* an attempt that is counted under one statement gets its votes under the other */
#define V_REACHED VIOLATION(nothing: it is tried, made[1] == 1 && COUNT(VOTED(1, 1)) < T(1) && VOTED(1, 1) & VOTED(2, 1) && BY_T(VOTED(2, 1), 1, 2))
#else
#define V_REACHED
#endif

init {
#ifdef ENROLLED /* the first one, by all of epoch 1 */
#define SERVE_FIRST(i) live[i] = HAS(R1, i);
  d_step { made[1] = 1; shares[1] = R1; sent[1] = R1; enrolled[1] = R1; EACH_I(SERVE_FIRST) }
#endif
end:
  do
  EACH_I(MOVE)
  EACH_G(BEGIN)
  EACH_IG(PREPARE)
  EACH_IG(PROMOTE)
  VOTES
  V_LIMIT
  V_OLDER
  V_LOST
  V_LOCKOUT
  V_REACHED
  od
}
