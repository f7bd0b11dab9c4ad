/* The guards: daemon/ledger/guard.ts, and the steps in daemon/vault that ask them. */

byte live[N];      /* the generation served; 0: none ever */
bit gone[N];       /* it was erased: its name stays, nothing else does */
byte prepared[N];
byte tickets[N];   /* generations whose ticket was issued since what the guard serves last changed */
byte recent[N];    /* those whose ticket was issued before that change, but not before the one before, and that replace what is served now */
/* Attempts on one generation change nothing for another. So those on the one that is WATCHED suffice; each has its run. */
byte H[N * LIMIT]; /* of WATCHED, while it is live: the points of the attempts of guard 0, then those of guard 1, and so on; 0: empty */

/* What the world has seen. */
#if NP == 0
short votes[1];
#else
short votes[NP];   /* vote signatures for each point of WATCHED: a bit for each replica, for each number */
#endif
#ifdef ENROLLED
byte enrolled[NG]; /* replicas that signed `enrolled` */
#define SIGN(i, g) enrolled[(g) - 1] = enrolled[(g) - 1] | BIT(i)
#else
#define SIGN(i, g) skip
#endif
#ifdef EVALUATIONS
byte tried;        /* points of WATCHED that an honest replica evaluated */
#endif

#define AT(i, k) H[LIMIT * (i) + (k) - 1]
#if LIMIT == 2
#define EMPTY(i) AT(i, 1) = 0; AT(i, 2) = 0
#define COUNTED(i) ((AT(i, 1) != 0) + (AT(i, 2) != 0))
#define IS_COUNTED(i, p) (AT(i, 1) == (p) || AT(i, 2) == (p))
#else
#define EMPTY(i) AT(i, 1) = 0; AT(i, 2) = 0; AT(i, 3) = 0
#define COUNTED(i) ((AT(i, 1) != 0) + (AT(i, 2) != 0) + (AT(i, 3) != 0))
#define IS_COUNTED(i, p) (AT(i, 1) == (p) || AT(i, 2) == (p) || AT(i, 3) == (p))
#endif
#define SERVES(i, g) (live[i] == (g) && !gone[i])
#define VOTES(k, p) ((votes[(p) - 1] >> (N * ((k) - 1))) & ALL)
#ifdef HOSTILE
#define VOTERS(k, p) (VOTES(k, p) | 4)
#else
#define VOTERS(k, p) VOTES(k, p)
#endif
#define HAS_VOTED(i, k, p) HAS(VOTES(k, p), i)
#define SET_VOTE(i, k, p) votes[(p) - 1] = votes[(p) - 1] | BIT(N * ((k) - 1) + (i))

#ifdef M_ONE_VOTE_LESS
#define VOTED(k, p) (HAS(VOTERS(k, p), 0) + HAS(VOTERS(k, p), 1) + HAS(VOTERS(k, p), 2) + HAS(VOTERS(k, p), 3) + HAS(VOTERS(k, p), 4) >= T - 1)
#else
#define VOTED(k, p) ATLEAST_T(VOTERS(k, p))
#endif

/* count() and adopt(): write-once, and a point has one number. */
#if defined(M_OVERWRITE)
#define FREE(i, k, p) 1
#elif defined(M_LAST_ONLY)
#define FREE(i, k, p) (AT(i, k) == (p) && !((k) == 1 && AT(i, 2)) || AT(i, k) == 0 && AT(i, 2) == 0)
#else
#define FREE(i, k, p) (AT(i, k) == (p) || AT(i, k) == 0 && !IS_COUNTED(i, p))
#endif

/* The second one comes after a first, and so on. A guard that missed that counts what it is shown for it, q, without a vote: another point, which a tenant
 * granted an attempt for. So what it counted never has a gap, and each attempt in it stands for a grant. A guard that missed two is shown them one after
 * the other here: in between it counted what it does count at the end, and voted for nothing. */
#ifdef M_ANY_ORDER
#define MISSES(i, k) 0
#else
#define MISSES(i, k) ((k) > COUNTED(i) + 1)
#endif
#if defined(M_SHOWN_NOTHING)
#define IS_SHOWN(p, q) 0
#elif defined(M_SHOWN_TWICE)
#define IS_SHOWN(p, q) ((q) && PAID(q))
#elif defined(M_SHOWN_UNGRANTED)
#define IS_SHOWN(p, q) ((q) && (q) != (p))
#else
#define IS_SHOWN(p, q) ((q) && (q) != (p) && PAID(q))
#endif
#define MAY_COUNT(i, k, p, q) (FREE(i, k, p) && (!MISSES(i, k) || IS_SHOWN(p, q)))
#if LIMIT == 2
#define COUNT(i, k, p, q) AT(i, 1) = (MISSES(i, k) -> (q) : AT(i, 1)); AT(i, k) = p
#else
#define COUNT(i, k, p, q) AT(i, k) = p /* what is shown is in SHOW */
#endif

/* A ticket holds until what the guard serves changes, or after one change that made it serve what the body replaces. */
#define TICKETS(g, set) \
  tickets[0] = tickets[0] | (HAS(set, 0) << (g)); \
  tickets[1] = tickets[1] | (HAS(set, 1) << (g)); \
  tickets[2] = tickets[2] | (HAS(set, 2) << (g)); \
  TICKETS_OF_MORE(g, set)
#if N == 3
#define TICKETS_OF_MORE(g, set)
#elif N == 4
#define TICKETS_OF_MORE(g, set) tickets[3] = tickets[3] | (HAS(set, 3) << (g));
#else
#define TICKETS_OF_MORE(g, set) tickets[3] = tickets[3] | (HAS(set, 3) << (g)); tickets[4] = tickets[4] | (HAS(set, 4) << (g));
#endif
#if defined(M_TICKET_ANY_TIME)
#define TICKET(i, g) 1
#elif defined(M_TICKET_BY_NAME)
#define TICKET(i, g) (HAS(tickets[i], g) || PREVIOUS(g) && SERVES(i, PREVIOUS(g)))
#else
#define TICKET(i, g) (HAS(tickets[i], g) || HAS(recent[i], g))
#endif

/* etcd's word alone replaces nothing, and names no owner: t signed that they prepared it. */
#ifdef M_PROMOTES_UNSIGNED
#define IS_SIGNED(g) 1
#else
#define IS_SIGNED(g) ATLEAST_T(sent[(g) - 1])
#endif
#ifdef M_ETCD_NAMES_OWNER
#define OWNER_IS_KNOWN(g) 1
#else
#define OWNER_IS_KNOWN(g) IS_SIGNED(g)
#endif

/* The line that a guard is bound to, by what it serves, or else by what it prepared with the signature of an owner, unless what that replaces
 * was erased here: it takes nothing of another line. 0: none. */
#define BINDS(i, g) (HAS(prepared[i], g) && !BEGINS(g) && !(gone[i] && LINE(live[i]) == LINE(g) && ORDER(g) <= ORDER(live[i]) + 1))
#if NG == 3
#define SIGNED_LINE(i) (BINDS(i, 1) -> LINE(1) : (BINDS(i, 2) -> LINE(2) : (BINDS(i, 3) -> LINE(3) : 0)))
#elif NG == 2
#define SIGNED_LINE(i) (BINDS(i, 2) -> LINE(2) : 0)
#else
#define SIGNED_LINE(i) 0
#endif
#ifdef M_SERVED_BINDS
#define BOUND(i) (live[i] && !gone[i] -> LINE(live[i]) : 0)
#else
#define BOUND(i) (live[i] && !gone[i] -> LINE(live[i]) : SIGNED_LINE(i))
#endif
#if defined(M_ANY_LINE)
#define MAY_TAKE(i, g) 1
#define OF_LINE(i, g) prepared[i]
#else
#define MAY_TAKE(i, g) (BOUND(i) == 0 || BOUND(i) == LINE(g))
#define OF_LINE(i, g) (prepared[i] & (BEGINS(g) -> BEGINNERS : IN_LINE(LINE(g))))
#endif
#if NG == 3
#define BEGINNERS (BIT(1) * BEGINS(1) | BIT(2) * BEGINS(2) | BIT(3) * BEGINS(3))
#define IN_LINE(x) (BIT(1) * (LINE(1) == (x)) | BIT(2) * (LINE(2) == (x)) | BIT(3) * (LINE(3) == (x)))
#elif NG == 2
#define BEGINNERS (BIT(1) * BEGINS(1) | BIT(2) * BEGINS(2))
#define IN_LINE(x) (BIT(1) * (LINE(1) == (x)) | BIT(2) * (LINE(2) == (x)))
#else
#define BEGINNERS BIT(1)
#define IN_LINE(x) BIT(1)
#endif
/* Within it, etcd's word does not take a guard back. So the last generation that t signed stays with those t. */
#ifdef M_GOES_BACK
#define GOES_ON(i, g) MAY_TAKE(i, g)
#else
#define GOES_ON(i, g) (MAY_TAKE(i, g) && (live[i] == 0 || gone[i] || COMES_AFTER(g, live[i])))
#endif
/* Without its owner nothing is replaced, even where etcd shows a tombstone of something else. */
#ifdef M_TOMBSTONE_BELIEVED
#define MAY_BEGIN(i) 1
#else
#define MAY_BEGIN(i) (BOUND(i) == 0)
#endif
/* expectMayReplace: the guard's own generation, or else what etcd shows. */
#define MAY_REPLACE(i, g) \
  (BEGINS(g) -> MAY_BEGIN(i) && (PREVIOUS(g) -> SHOWS_ENDED(i, PREVIOUS(g)) : SHOWS_NOTHING(i)) \
              : SERVES(i, PREVIOUS(g)) || SHOWS_LATEST(i, PREVIOUS(g)) && OWNER_IS_KNOWN(PREVIOUS(g)) && MAY_TAKE(i, g))

/* findSame: what is here already gets the same answer, whatever became of its ticket; another body under its name is refused. */
#ifdef NAMESAKE
#define IS_HERE(i, g) (HAS(prepared[i], g) || SERVES(i, g) || HAS(prepared[i], NAMESAKE_OF(g)) || SERVES(i, NAMESAKE_OF(g)))
#else
#define IS_HERE(i, g) (HAS(prepared[i], g) || SERVES(i, g))
#endif

/* Nor is it what was erased here, or came before. Where counts are the matter that rests on tickets alone. */
#ifdef GRANTS
#define IS_OVER(i, g) (gone[i] && ENDS(g, live[i]))
#else
#define IS_OVER(i, g) 0
#endif
#define PREPARE(i, g) \
  :: d_step { HAS(begun, g) && MAY_PREPARE(i, g) && !IS_OVER(i, g) && !IS_HERE(i, g) && TICKET(i, g) && MAY_REPLACE(i, g) -> \
       printf("replica %d prepares generation %d\n", i, g); \
       prepared[i] = EVICTED(i, g) & OF_LINE(i, g) | BIT(g); SEND(i, g) }

/* At most eight are kept. M_EVICTS: at most one, which stands for the ninth pushing out the oldest. */
#ifdef M_EVICTS
#define EVICTED(i, g) 0
#else
#define EVICTED(i, g) prepared[i]
#endif

#if NG == 3
#define REPLACING(g) (BIT(1) * (PREVIOUS(1) == (g)) | BIT(2) * (PREVIOUS(2) == (g)) | BIT(3) * (PREVIOUS(3) == (g)))
#else
#define REPLACING(g) (BIT(1) * (PREVIOUS(1) == (g)) | BIT(2) * (PREVIOUS(2) == (g)))
#endif

/* What comes after the generation just promoted or erased may be committed already, or served by others: it stays. */
#if NG == 3
#define AFTER(g) (BIT(1) * COMES_AFTER(1, g) | BIT(2) * COMES_AFTER(2, g) | BIT(3) * COMES_AFTER(3, g))
#elif NG == 2
#define AFTER(g) (BIT(1) * COMES_AFTER(1, g) | BIT(2) * COMES_AFTER(2, g))
#else
#define AFTER(g) 0
#endif
#if defined(M_CLEARS_ALL_PREPARED)
#define KEPT_PREPARED(i, g) 0
#elif defined(M_KEEPS_SUCCESSORS)
#define KEPT_PREPARED(i, g) (prepared[i] & REPLACING(g))
#else
#define KEPT_PREPARED(i, g) (prepared[i] & AFTER(g))
#endif

#ifdef M_TICKET_COUNTS_ENDED
#define END_TICKETS(i, g) tickets[i] = (live[i] && !gone[i] -> 0 : tickets[i])
#else
#define END_TICKETS(i, g) recent[i] = tickets[i] & REPLACING(g); tickets[i] = 0
#endif

#ifdef M_PROMOTES_UNREAD
#define COMMITTED(i, g) 1
#else
#define COMMITTED(i, g) SHOWS_COMMITTED(i, g)
#endif

#define PROMOTE(i, g) \
  :: d_step { HAS(prepared[i], g) && !SERVES(i, g) && COMMITTED(i, g) && IS_SIGNED(g) && GOES_ON(i, g) -> \
       printf("replica %d promotes generation %d and signs\n", i, g); \
       prepared[i] = KEPT_PREPARED(i, g); END_TICKETS(i, g); live[i] = g; gone[i] = 0; EMPTY(i); \
       SIGN(i, g) }

#define VOTE(i, k, p) \
  :: d_step { ASKED(i, k, p) && !HAS_VOTED(i, k, p) && SERVES(i, WATCHED) && MAY_COUNT(i, k, p, LOWER(i)) -> \
       printf("replica %d votes: generation %d, attempt %d, point %d\n", i, WATCHED, k, p); \
       COUNT(i, k, p, LOWER(i)); SET_VOTE(i, k, p); USE(p) }

/* etcd, or whoever coordinates, may show any point as the one before. */
#define SHOW_AT(i, k, p, q) \
  :: d_step { MAYBE_TWO(q, p) && PAID(p) && (k) == COUNTED(i) + 2 && SERVES(i, WATCHED) && MAY_COUNT(i, k, p, q) && !IS_COUNTED(i, q) -> \
       printf("replica %d, shown point %d, votes: generation %d, attempt %d, point %d\n", i, q, WATCHED, k, p); \
       AT(i, (k) - 1) = q; AT(i, k) = p; SET_VOTE(i, k, p); USE(q); USE(p) }
#if LIMIT == 2
#define SHOW(i, p, q) SHOW_AT(i, 2, p, q)
#else
/* The first of two. */
#define SHOW_ALONE(i, p, q) \
  :: d_step { (p) == (q) && MAYBE(q) && COUNTED(i) == 0 && SERVES(i, WATCHED) -> \
       printf("replica %d is shown point %d: generation %d\n", i, q, WATCHED); \
       AT(i, 1) = q; USE(q) }
#define SHOW(i, p, q) SHOW_AT(i, 2, p, q) SHOW_AT(i, 3, p, q) SHOW_ALONE(i, p, q)
#endif

/* A guard that did not vote adopts the attempt first; from then on it would vote for it too. So adoption does what a vote does,
 * and a replica that votes as the t-th can evaluate at once: without EVALUATE as an event of its own, a point counts as tried as
 * soon as it has t votes. */
#ifdef EVALUATIONS
#define TRIED(p) HAS(tried, (p) - 1)
#ifdef M_EVALUATES_UNCOUNTED
#define MAY_EVALUATE(i, k, p) (VOTERS(k, p) != 0)
#define ADOPT(i, k, p) skip
#else
#define MAY_EVALUATE(i, k, p) (VOTED(k, p) && MAY_COUNT(i, k, p, LOWER(i)))
#define ADOPT(i, k, p) COUNT(i, k, p, LOWER(i)); SET_VOTE(i, k, p)
#endif
#define EVALUATE(i, k, p) \
  :: d_step { MAYBE(p) && SERVES(i, WATCHED) && MAY_EVALUATE(i, k, p) && !(TRIED(p) && AT(i, k) == (p)) -> \
       printf("replica %d evaluates: generation %d, attempt %d, point %d\n", i, WATCHED, k, p); \
       ADOPT(i, k, p); tried = tried | BIT((p) - 1); USE(p) }
#else
#define TRIED(p) (VOTED(1, p) || VOTED(2, p))
#endif

/* A vote names g and body_hash, not the seeds. If whoever begins again could finish with a body that is known already, replicas
 * with other seeds would vote, and one with the seeds would evaluate. One such replica is enough to show it: 0. */
#ifdef M_BODY_AGAIN
byte lent; /* attempts that it voted for under other seeds */
#define LOAN(k, p) (2 * ((p) - 1) + (k) - 1)
#define LEND(k, p) \
  :: d_step { MAYBE(p) && SERVES(0, NAMESAKE_OF(WATCHED)) && !HAS(lent, LOAN(k, p)) -> \
       printf("replica 0, with other seeds, votes: attempt %d, point %d\n", k, p); lent = lent | BIT(LOAN(k, p)); USE(p) }
#undef VOTERS
#define VOTERS(k, p) (VOTES(k, p) | HAS(lent, LOAN(k, p)) * (VOTES(k, p) != 0))
#define LENT LEND(1, 1) LEND(1, 2) LEND(1, 3) LEND(2, 1) LEND(2, 2) LEND(2, 3)
#else
#define LENT
#endif

/* What is shown erased goes, and with it all of its line that came before: t signed that they prepared it, or it is here. */
#define ENDS(h, g) (LINE(h) == LINE(g) && !COMES_AFTER(h, g))
#if NG == 3
#define ENDED(g) (BIT(1) * ENDS(1, g) | BIT(2) * ENDS(2, g) | BIT(3) * ENDS(3, g))
#elif NG == 2
#define ENDED(g) (BIT(1) * ENDS(1, g) | BIT(2) * ENDS(2, g))
#else
#define ENDED(g) BIT(1)
#endif
#ifdef M_FORGETS_ONE
#define FORGOTTEN_WITH(g) BIT(g)
#else
#define FORGOTTEN_WITH(g) ENDED(g)
#endif
/* by: 1 for the tenant's own word, 0 for that of replicas. The tenant's takes what is prepared to take its place as well. So that nobody prepares that again,
 * it ends all tickets, also where nothing was served. */
#define TAKES_PLACE(h, g) (PREVIOUS(h) == (g) && LINE(h) == LINE(g))
#if NG == 3
#define NEXT_OF(g) (BIT(1) * TAKES_PLACE(1, g) | BIT(2) * TAKES_PLACE(2, g) | BIT(3) * TAKES_PLACE(3, g))
#elif NG == 2
#define NEXT_OF(g) (BIT(1) * TAKES_PLACE(1, g) | BIT(2) * TAKES_PLACE(2, g))
#else
#define NEXT_OF(g) 0
#endif
#define ERASED_WITH(g) (FORGOTTEN_WITH(g) | NEXT_OF(g))
#if defined(M_ERASES_NO_SUCCESSORS)
#define TAKEN_BY(by, g) FORGOTTEN_WITH(g)
#elif defined(M_ERASES_LINE)
#define OF_LINE(h, g) (LINE(h) == LINE(g))
#define TAKEN_BY(by, g) ((by) -> BIT(1) * OF_LINE(1, g) | BIT(2) * OF_LINE(2, g) | BIT(3) * OF_LINE(3, g) : FORGOTTEN_WITH(g))
#else
#define TAKEN_BY(by, g) ((by) -> ERASED_WITH(g) : FORGOTTEN_WITH(g))
#endif
#ifdef M_ERASURE_KEEPS_TICKETS
#define VOID_TICKETS_BY(by, i) skip
#else
#define VOID_TICKETS_BY(by, i) tickets[i] = tickets[i] * !(by); recent[i] = recent[i] * !(by)
#endif
#ifdef P_ERASED
byte struck[NG]; /* guards that destroyed it, or what it takes the place of, on the tenant's word, after its offers were made */
#define STRIKE(i, g, h) struck[(h) - 1] = struck[(h) - 1] | (HAS(begun & ERASED_WITH(g), h) && !SERVES(i, h)) << (i)
#if NG == 3
#define STRIKE_ALL(by, i, g) if :: by -> STRIKE(i, g, 1); STRIKE(i, g, 2); STRIKE(i, g, 3) :: else -> skip fi
#else
#define STRIKE_ALL(by, i, g) if :: by -> STRIKE(i, g, 1); STRIKE(i, g, 2) :: else -> skip fi
#endif
#else
#define STRIKE_ALL(by, i, g) skip
#endif
#define IS_SERVED_UP_TO(i, g) (live[i] && !gone[i] && HAS(FORGOTTEN_WITH(g), live[i]))
#define IS_NEW_END(i, g) (BOUND(i) == LINE(g) && (live[i] == 0 || gone[i] && (LINE(live[i]) != LINE(g) || COMES_AFTER(g, live[i]))))
#if defined(GRANTS) || defined(REGISTER)
#define IS_NEWS(i, g) (IS_SERVED_UP_TO(i, g) || (prepared[i] & FORGOTTEN_WITH(g)) || IS_NEW_END(i, g))
#else /* where anything may be shown for a count's sake, what is served suffices */
#define IS_NEWS(i, g) SERVES(i, g)
#endif
#define FORGET_BY(by, i, g) \
  :: d_step { SHOWS_ERASED(i, g) && (SERVES(i, g) || HAS(prepared[i], g) || IS_SIGNED(g)) && IS_NEWS(i, g) -> \
       printf("replica %d forgets generation %d; on the tenant's word: %d\n", i, g, by); \
       prepared[i] = prepared[i] & ~TAKEN_BY(by, g); VOID_TICKETS_BY(by, i); \
       if \
       :: IS_SERVED_UP_TO(i, g) -> \
            prepared[i] = KEPT_PREPARED(i, live[i]); tickets[i] = 0; recent[i] = 0; EMPTY(i); live[i] = g; gone[i] = 1 \
       :: live[i] == 0 || gone[i] -> live[i] = g; gone[i] = 1 \
       :: else -> skip \
       fi; \
       STRIKE_ALL(by, i, g) }
#if defined(GRANTS) || defined(REGISTER) && NP == 0
#define FORGET(i, g) FORGET_BY(0, i, g) FORGET_BY(1, i, g)
#else /* the tenant's takes more, and that only forbids what the other one allows */
#define FORGET(i, g) FORGET_BY(0, i, g)
#endif

/* What guards together remember of a generation's attempts, for RECONCILE and a rebuilt guard: under each number the point that most of those
 * that serve it have there, if it has none yet; then those that are left over. Of two that are as frequent the one of the lower hash goes
 * first, and any may be that: here it is that of guard a for the first number, b for the second, or else the next. */
byte h1, h2; /* 0 between steps */
#ifdef LIAR /* register.pml: in Recall, replica 2 says anything */
#define SAYS_IT_SERVES(i, g) ((i) == 2 -> said == (g) && IS_SHOWN_PREPARED(g) : SERVES(i, g))
#define SAYS_AT(i, k) ((i) == 2 -> ((k) == 1 -> said_1 : said_2) : AT(i, k))
#else
#define SAYS_IT_SERVES(i, g) SERVES(i, g)
#define SAYS_AT(i, k) AT(i, k)
#endif
#define PART(set, g, k, i) (HAS(set, i) && SAYS_IT_SERVES(i, g) -> SAYS_AT(i, k) : 0)
#define TIMES(set, g, k, p) ((PART(set, g, k, 0) == (p)) + (PART(set, g, k, 1) == (p)) + (PART(set, g, k, 2) == (p)))
#define NEXT(i) (((i) + 1) % 3)
#define TAKE(h, p, when) \
  if \
  :: (p) && (p) != h1 && (when) -> h = p \
  :: else -> skip \
  fi
#define TAKE_NAMED(h, set, g, k, i) TAKE(h, PART(set, g, k, i), h == 0 || TIMES(set, g, k, PART(set, g, k, i)) > TIMES(set, g, k, h))
#define TAKE_LEFT(set, g, i) TAKE(h2, PART(set, g, 1, i), h2 == 0)
#if NP == 0
#define MERGE(set, g, a, b) skip
#elif defined(M_RECONCILE_TAKES_ONE)
#define FIRST_SERVER(set, g) (HAS(set, 0) && SERVES(0, g) -> 0 : (HAS(set, 1) && SERVES(1, g) -> 1 : 2))
#define MERGE(set, g, a, b) h1 = AT(FIRST_SERVER(set, g), 1); h2 = AT(FIRST_SERVER(set, g), 2)
#else
#ifdef M_RECONCILE_DROPS_LEFT
#define LEFT_OVER(set, g, b) skip
#else
#define LEFT_OVER(set, g, b) TAKE_LEFT(set, g, b); TAKE_LEFT(set, g, NEXT(b)); TAKE_LEFT(set, g, NEXT(NEXT(b)))
#endif
#define MERGE(set, g, a, b) \
  h1 = 0; h2 = 0; \
  TAKE_NAMED(h1, set, g, 1, a); TAKE_NAMED(h1, set, g, 1, NEXT(a)); TAKE_NAMED(h1, set, g, 1, NEXT(NEXT(a))); \
  TAKE_NAMED(h2, set, g, 2, b); TAKE_NAMED(h2, set, g, 2, NEXT(b)); TAKE_NAMED(h2, set, g, 2, NEXT(NEXT(b))); \
  LEFT_OVER(set, g, b)
#endif

#ifdef LOSS
bit lost, rebuilt;
/* Guard 0 is lost, once. The new one has another incarnation: a new statement, a new epoch, no ticket of before holds. Nor would it in
 * the same epoch, since the ticket secret ended with the daemon: M_RECREATED_SILENTLY keeps both. */
#ifdef M_RECREATED_SILENTLY
#define VOID_TICKETS tickets[0] = begun; recent[0] = 0
#else
#define VOID_TICKETS tickets[0] = 0; recent[0] = 0
#endif
#define LOSE \
  :: d_step { !lost -> \
       printf("replica 0 loses its guard\n"); \
       lost = 1; live[0] = 0; gone[0] = 0; prepared[0] = 0; EMPTY(0); VOID_TICKETS }

/* Rebuilt by an operator from the n-t+1 others, once all of these serve under the new epoch: an epoch that votes name. Only a
 * generation that all of them hold, and only where no two of them have different points under one number: which of these the lost guard
 * voted for nobody can tell, and t votes for each would be one point too many. */
#ifdef M_REBUILT_FROM_ONE
#define OTHERS_HOLD SERVES(1, WATCHED)
#define OTHERS 2
#else
#define OTHERS_HOLD SERVES(1, WATCHED) && SERVES(2, WATCHED)
#define OTHERS 6
#endif
#ifdef M_REBUILT_DISAGREEING
#define AGREES(k) 1
#else
#define AGREES(k) (AT(1, k) == 0 || AT(2, k) == 0 || AT(1, k) == AT(2, k))
#endif
#ifdef M_OLD_VOTES_COUNT
#define VOID_VOTES skip
#else
#define VOID_VOTES votes[0] = 0; votes[1] = 0; votes[2] = 0
#endif
#if NG != 1 || !defined(EVALUATIONS)
#error "the rebuild of a guard is modelled for one generation, and voids votes: what they led to must be remembered apart"
#endif
#define REBUILD(a, b) \
  :: d_step { lost && !rebuilt && live[0] == 0 && OTHERS_HOLD && AGREES(1) && AGREES(2) && HAS(sent[WATCHED - 1], 0) -> \
       printf("replica 0 is rebuilt\n"); \
       rebuilt = 1; live[0] = WATCHED; MERGE(OTHERS, WATCHED, a, b); AT(0, 1) = h1; AT(0, 2) = h2; h1 = 0; h2 = 0; VOID_VOTES }
#endif
