/* The attempt and generation state machine of docs/PROTOCOL.md, sections 4 and 6: n = 3, t = 2, limit 2, or a little more.
 *
 * One process; every event is one atomic step, and any event may be the last: that is a crash. A coordinator remembers nothing.
 * A guard is durable. What was once said (a request, `prepared`, a vote, what etcd answered) stays said: it may arrive at any
 * later time, twice, or never. README.md says what is abstracted and why that is sound; run.sh holds the configurations. */

#ifndef N
#define N 3
#endif
#define T (N / 2 + 1)
#ifndef LIMIT
#define LIMIT 2
#endif
#if N > 3 && (defined(RESTORES) || defined(LOSS) || defined(HOSTILE) || defined(GRANTS)) || LIMIT > 2 && (defined(REGISTER) || defined(LOSS) || defined(PAYS))
#error "modelled for n = 3, or limit 2, alone"
#endif

#ifndef NG
#define NG 2 /* generations 1..NG of one record */
#endif
#ifndef NP
#define NP 3 /* points 1..NP: each is one code, blinded once */
#endif

/* A generation is its seeds: what is begun again under an old name has other seeds, for every offer has a nonce of its own, and is
 * another generation here. NAMESAKE: 2 is begun under the name of 1. */
#ifdef NAMESAKE
#define FIRSTS
#define NAMESAKE_OF(g) (3 - (g))
#endif

/* body.previous. 0: a first enrolment. By default each names the one before; SIBLINGS: two devices replace 1 at the same time, or one
 * that begins again; FIRSTS: the same with first enrolments; STRANGER: 1 is the owner's, 2 somebody else's, over a tombstone that nobody
 * knows but etcd, and 3 replaces 2 in his name. */
#if defined(SIBLINGS)
#define PREVIOUS(g) ((g) == 1 -> 0 : 1)
#elif defined(FIRSTS)
#define PREVIOUS(g) 0
#elif defined(STRANGER)
#define PREVIOUS(g) ((g) == 3 -> 2 : 0)
#else
#define PREVIOUS(g) ((g) - 1)
#endif
/* A line is a first generation, or one over a tombstone, for which no owner signed, and what replaced it since then, each with the signature of
 * the owner before: body.line names the one that began it. Within a line that of the higher (body.epoch, body.number) comes after, and where
 * these are the same, that of the higher body_hash: among two of which neither did, a lying etcd could send one guard to each. Here g
 * stands for the hash. Across lines none comes after another: anybody who is signed in may begin one. */
#ifdef REGISTER
byte begins; /* of those with body.previous, the ones that were begun over a tombstone */
#define BEGINS(g) (PREVIOUS(g) == 0 || HAS(begins, g))
#else
#define BEGINS(g) (PREVIOUS(g) == 0)
#endif
#define LINE(g) (BEGINS(g) -> (g) : (BEGINS(PREVIOUS(g)) -> PREVIOUS(g) : PREVIOUS(PREVIOUS(g))))
#if defined(RESTORES)
#define EPOCH(g) made[(g) - 1]
#else
#define EPOCH(g) 0
#endif
#ifdef STRANGER
#define NUMBER_OF(g) (g)
#else
#define NUMBER_OF(g) (PREVIOUS(g) == 0 -> 1 : (PREVIOUS(PREVIOUS(g)) == 0 -> 2 : 3))
#endif
#define ORDER(g) (4 * EPOCH(g) + NUMBER_OF(g))
#if defined(M_TIES)
#define BY_HASH(a, b) 0
#else
#define BY_HASH(a, b) ((a) > (b))
#endif
#ifdef M_ANY_LINE
#define SAME_LINE(a, b) 1
#else
#define SAME_LINE(a, b) (LINE(a) == LINE(b))
#endif
#define COMES_AFTER(a, b) (SAME_LINE(a, b) && (ORDER(a) > ORDER(b) || ORDER(a) == ORDER(b) && BY_HASH(a, b)))

#define REPLACES(a, b) ((PREVIOUS(a) == (b) || (PREVIOUS(a) && PREVIOUS(PREVIOUS(a)) == (b))) && (b) && (a) != (b)) /* a came after b, in one chain */

#define BIT(x) (1 << (x))
#define HAS(set, x) (((set) >> (x)) & 1)
#define ALL (BIT(N) - 1)
#if N == 3
#define ATLEAST_T(set) ((set) == 3 || (set) >= 5) /* two or more of three */
#define SUM_I(E) (E(0) + E(1) + E(2))
#elif N == 4
#define ATLEAST_T(set) ((set) == 7 || (set) == 11 || (set) >= 13) /* three or more of four */
#define SUM_I(E) (E(0) + E(1) + E(2) + E(3))
#else
#define ATLEAST_T(set) (HAS(set, 0) + HAS(set, 1) + HAS(set, 2) + HAS(set, 3) + HAS(set, 4) >= T)
#define SUM_I(E) (E(0) + E(1) + E(2) + E(3) + E(4))
#endif

#ifndef WATCHED
#define WATCHED 1 /* whose attempts are modelled */
#endif

/* Every choice of replica, generation, number and point, as one option each. */
#if NG == 1
#define EACH_G(E) E(1)
#define I_EACH_G(E, i) E(i, 1)
#elif NG == 2
#define EACH_G(E) E(1) E(2)
#define I_EACH_G(E, i) E(i, 1) E(i, 2)
#else
#define EACH_G(E) E(1) E(2) E(3)
#define I_EACH_G(E, i) E(i, 1) E(i, 2) E(i, 3)
#endif
#if NP == 0
#define EACH_P(E)
#define IK_EACH_P(E, i, k)
#elif NP == 3
#define EACH_P(E) E(1) E(2) E(3)
#define IK_EACH_P(E, i, k) E(i, k, 1) E(i, k, 2) E(i, k, 3)
#elif NP == 4
#define EACH_P(E) E(1) E(2) E(3) E(4)
#define IK_EACH_P(E, i, k) E(i, k, 1) E(i, k, 2) E(i, k, 3) E(i, k, 4)
#else
#define EACH_P(E) E(1) E(2) E(3) E(4) E(5)
#define IK_EACH_P(E, i, k) E(i, k, 1) E(i, k, 2) E(i, k, 3) E(i, k, 4) E(i, k, 5)
#endif
#if LIMIT == 2
#define I_EACH_KP(E, i) IK_EACH_P(E, i, 1) IK_EACH_P(E, i, 2)
#else
#define I_EACH_KP(E, i) IK_EACH_P(E, i, 1) IK_EACH_P(E, i, 2) IK_EACH_P(E, i, 3)
#endif
#if NP == 4
#define IQ_EACH_P(E, i, q) E(i, 1, q) E(i, 2, q) E(i, 3, q) E(i, 4, q)
#define I_EACH_PQ(E, i) IQ_EACH_P(E, i, 1) IQ_EACH_P(E, i, 2) IQ_EACH_P(E, i, 3) IQ_EACH_P(E, i, 4)
#else
#define IQ_EACH_P(E, i, q) E(i, 1, q) E(i, 2, q) E(i, 3, q)
#define I_EACH_PQ(E, i) IQ_EACH_P(E, i, 1) IQ_EACH_P(E, i, 2) IQ_EACH_P(E, i, 3)
#endif
/* A hostile replica, 2, keeps no rules: only the others take steps. */
#ifdef HOSTILE
#define EACH_I(E) E(0) E(1)
#define EACH_IG(E) I_EACH_G(E, 0) I_EACH_G(E, 1)
#define EACH_IKP(E) I_EACH_KP(E, 0) I_EACH_KP(E, 1)
#define EACH_IPQ(E) I_EACH_PQ(E, 0) I_EACH_PQ(E, 1)
#elif N == 4
#define EACH_I(E) E(0) E(1) E(2) E(3)
#define EACH_IG(E) I_EACH_G(E, 0) I_EACH_G(E, 1) I_EACH_G(E, 2) I_EACH_G(E, 3)
#define EACH_IKP(E) I_EACH_KP(E, 0) I_EACH_KP(E, 1) I_EACH_KP(E, 2) I_EACH_KP(E, 3)
#define EACH_IPQ(E) I_EACH_PQ(E, 0) I_EACH_PQ(E, 1) I_EACH_PQ(E, 2) I_EACH_PQ(E, 3)
#elif N == 5
#define EACH_I(E) E(0) E(1) E(2) E(3) E(4)
#define EACH_IG(E) I_EACH_G(E, 0) I_EACH_G(E, 1) I_EACH_G(E, 2) I_EACH_G(E, 3) I_EACH_G(E, 4)
#define EACH_IKP(E) I_EACH_KP(E, 0) I_EACH_KP(E, 1) I_EACH_KP(E, 2) I_EACH_KP(E, 3) I_EACH_KP(E, 4)
#define EACH_IPQ(E) I_EACH_PQ(E, 0) I_EACH_PQ(E, 1) I_EACH_PQ(E, 2) I_EACH_PQ(E, 3) I_EACH_PQ(E, 4)
#else
#define EACH_I(E) E(0) E(1) E(2)
#define EACH_IG(E) I_EACH_G(E, 0) I_EACH_G(E, 1) I_EACH_G(E, 2)
#define EACH_IKP(E) I_EACH_KP(E, 0) I_EACH_KP(E, 1) I_EACH_KP(E, 2)
#define EACH_IPQ(E) I_EACH_PQ(E, 0) I_EACH_PQ(E, 1) I_EACH_PQ(E, 2)
#endif

/* Every choice of guards that RECONCILE asks, n-t+1 at least; and where points are as frequent, of whose goes first, by number. */
#if NP == 0
#define EACH_SET(E) E(3, 0, 0) E(5, 0, 0) E(6, 0, 0) E(7, 0, 0)
#else
#define SET_EACH_FIRST(E, set) \
  E(set, 0, 0) E(set, 0, 1) E(set, 0, 2) E(set, 1, 0) E(set, 1, 1) E(set, 1, 2) E(set, 2, 0) E(set, 2, 1) E(set, 2, 2)
#define EACH_SET(E) SET_EACH_FIRST(E, 3) SET_EACH_FIRST(E, 5) SET_EACH_FIRST(E, 6) SET_EACH_FIRST(E, 7)
#endif

/* Enrolments. A set of replicas is a bit mask (bit i), a set of generations too (bit g). */
byte begun;     /* offers were made, the client has its body and tickets: FinishEnrollment may be sent, again and again */
byte sent[NG];  /* replicas that signed `prepared` for generation g: whoever coordinates has it */
#define SEND(i, g) sent[(g) - 1] = sent[(g) - 1] | BIT(i)

/* Points are alike: a new one is always the next number. That divides the states by NP! and hides nothing. */
byte known;
#define MAYBE(p) ((p) <= known + 1)
#define MAYBE_TWO(q, p) (MAYBE(q) && ((p) <= known || (p) <= (q) + 1)) /* q is named first */
#define USE(p) known = ((p) > known -> (p) : known)

#ifdef REGISTER
#include "register.pml"
#else
#include "lies.pml"
#endif
#include "guard.pml"
#include "properties.pml"

init {
end:
  do
  EACH_G(BEGIN)
  EACH_IG(PREPARE)
  EACH_IG(PROMOTE)
  EACH_IKP(VOTE)
#ifdef SHOWS
  EACH_IPQ(SHOW)
#endif
#ifdef PAYS
  EACH_P(PAY)
#endif
  LENT
#ifdef EVALUATIONS
  EACH_IKP(EVALUATE)
#endif
#ifdef ERASURES
  EACH_IG(FORGET)
#endif
#ifdef GRANTS
  EACH_G(GRANT)
#endif
#ifdef REUSES
  EACH_G(REUSE)
#endif
#ifdef LOSS
  LOSE
  REBUILD(1, 1) REBUILD(1, 2) REBUILD(2, 1) REBUILD(2, 2)
#endif
#ifdef REGISTER
  EACH_G(ENROL)
  EACH_P(SPEND)
#ifdef ERASURES
  ERASE
#endif
  LAND(0) LAND(1)
  DROP(0) DROP(1)
#ifdef RESTORES
  RESTORE
  EACH_I(SWITCH)
  LIES
  EACH_SET(RECONCILE)
#endif
#endif
  VIOLATIONS
  od
}
