/* etcd lies: it shows anybody anything at any time. That covers every crash, rollback, restore, late transaction and forgery of
 * it, and every coordinator, since all that these can do to a guard is to ask. What binds is under a replica's own MAC or a
 * device's signature: `prepared`, a body, a ticket. */

#define SHOWS_NOTHING(i) 1
#define SHOWS_LATEST(i, g) 1
#define SHOWS_ENDED(i, g) 1
#define SHOWS_COMMITTED(i, g) 1
/* The tenant's grant shows that a generation is to go; t `erased` of others, or t `spent`, say the same for it. Where counts are the matter,
 * tenants sign for whatever they are asked. GRANTS: only for some. */
#if defined(GRANTS) && !defined(M_FORGETS_UNSHOWN)
#define SHOWS_ERASED(i, g) HAS(granted, g)
#else
#define SHOWS_ERASED(i, g) 1
#endif
/* An attempt is counted only for a point that a tenant's frontend granted one for. Where the limit is the matter, they grant whatever they are
 * asked. PAYS: only for some. */
#ifdef PAYS
byte paid; /* points that it granted an attempt for */
#define PAID(p) HAS(paid, p)
#define PAY(p) \
  :: d_step { MAYBE(p) && !PAID(p) -> printf("tenant grants an attempt for point %d\n", p); paid = paid | BIT(p); USE(p) }
#else
#define PAID(p) 1
#endif
#define ASKED(i, k, p) (MAYBE(p) && PAID(p))
#define LOWER(i) 0 /* SHOW shows points */
#ifdef FORGER /* 2 is made up, in the line of 1, whose owner never signed for it; 3 replaces it in the name of its own owner */
#define MAY_PREPARE(i, g) ((g) != 2)
#else
#define MAY_PREPARE(i, g) 1
#endif

#ifdef GRANTS
byte granted; /* generations that the tenant signed may be erased */
#define GRANT(g) \
  :: d_step { !HAS(granted, g) && HAS(begun, g) -> printf("tenant grants the erasure of generation %d\n", g); granted = granted | BIT(g) }
#endif

/* The device was told of the generation that it replaces, so its offers come after those. HONEST_DEVICE: t replicas signed what it was told. */
#ifdef HONEST_DEVICE
#define TOLD_OF(g) ACKNOWLEDGED(g)
#else
#define TOLD_OF(g) HAS(begun, g)
#endif
#define BEGIN(g) \
  :: d_step { !HAS(begun, g) && (PREVIOUS(g) == 0 || TOLD_OF(PREVIOUS(g))) -> \
       printf("device: offers for generation %d\n", g); \
       begun = begun | BIT(g); TICKETS(g, ALL) }

/* Names are chosen by whoever enrols: another generation may have a name that was there before, and its own tickets.
 * M_SEED_BY_NAME: a seed is made of names and P alone, so begun again with these the very generation has new tickets. */
#ifdef M_SEED_BY_NAME
#define MAY_REUSE(g) 1
#else
#define MAY_REUSE(g) ((g) != WATCHED)
#endif
#define REUSE(g) \
  :: d_step { MAY_REUSE(g) && HAS(begun, g) -> \
       printf("a stranger: offers for a generation named %d, too\n", g); \
       TICKETS(g, ALL) }
