#!/usr/bin/env bash
# Checks the model exhaustively: every configuration must hold, every mutant must be caught. Two searches run at a time.
# Usage: run.sh [--quick] [NAME...]   --quick leaves out the large configurations; NAME runs only those.
# What spin found of NAME is in build/model/NAME: out, and for a mutant the counterexample in words, trail.txt.
set -uo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/test/model
build=$PWD/build/model

MEMORY_MB=3500 # each of two
DEPTH=10000    # more than any path has; a search that reaches it is a failure

liar='-DERASURES'
etcd='-DREGISTER -DENROLLED -DERASURES'
tenant='-DNP=0 -DENROLLED -DERASURES -DGRANTS'
owner='-DNG=3 -DNP=0 -DENROLLED -DP_LOST'
restored='-DREGISTER -DENROLLED -DRESTORES'
# A fleet of these replicas, as masks, gets another n and another t. Flags begin with the file, where that is not attempts.pml.
to_4='epochs.pml -DR1=7 -DR2=15'
to_5='epochs.pml -DR1=7 -DR2=31'
from_5='epochs.pml -DR1=31 -DR2=19'
from_4='epochs.pml -DR1=15 -DR2=11'
swap='epochs.pml -DR1=7 -DR2=11'
kept='-DP_OLDER -DP_LOST -DP_LOCKOUT'
attempt='-DNG=1 -DWATCHED=1'

# Holds and vetoes: of n replicas t open a record, and m hold it. Then seeds in shares.
h3='holds.pml -DN=3 -DT=2 -DM=3'
h3_2='holds.pml -DN=3 -DT=2 -DM=2'
h4='holds.pml -DN=4 -DT=3 -DM=4'
h4_3='holds.pml -DN=4 -DT=3 -DM=3'
h5='holds.pml -DN=5 -DT=3 -DM=5'
veto='-DP_VETO -DP_STOPS'
hold='-DTIMED -DP_HOLD'
own='-DNH=2 -DNB=2 -DUNASKED -DP_OWNER'
s3='shares.pml -DN=3 -DT=2'
s4='shares.pml -DN=4 -DT=3'
s5='shares.pml -DN=5 -DT=3'
one='-DNO=1 -DND=2'

counted='-DREGISTER -DENROLLED -DNG=1 -DNP=3'
# name | size | flags | properties
configurations="
lies-first        | | $liar -DNG=2 -DNP=3 -DP_LIMIT                        | P2: etcd lies, a first enrolment, replaced or erased
lies-middle       | large | $liar -DNG=3 -DNP=3 -DWATCHED=2 -DP_LIMIT            | P2: etcd lies, the middle one of three generations
lies-reused       | | $liar -DNG=2 -DNP=3 -DWATCHED=2 -DREUSES -DP_LIMIT    | P2: etcd lies, what was replaced has its name used again
lies-namesake     | | $liar -DNG=2 -DNP=3 -DNAMESAKE -DREUSES -DP_LIMIT | P2: etcd lies, its own name is begun again, with other seeds
lies-evaluations  | | $liar -DNG=1 -DNP=4 -DEVALUATIONS -DP_LIMIT           | P2: etcd lies, each evaluation an event of its own
lies-replaced     | | $liar -DNG=3 -DNP=0 -DENROLLED -DP_OLDER              | no older code comes back: etcd lies
lies-two-devices  | | $liar -DNG=3 -DNP=0 -DENROLLED -DP_OLDER -DSIBLINGS   | no older code comes back: etcd lies, two devices replace
lies-lost         | | $owner                                                | P6: etcd lies, three generations, one after the other
lies-lost-two     | | $owner -DSIBLINGS                                     | the same: two enrolments under way that replace one
lies-lost-first   | | $owner -DFIRSTS                                       | the same: first ones
lies-lost-line    | | $owner -DSTRANGER                                     | the same: a stranger begins a line of his own
lies-lost-forged  | | $owner -DFORGER                                       | the same: etcd shows a stranger's body in the owner's line
lies-erased       | large | $owner -DERASURES -DGRANTS                      | the same: the tenant has some of them erased
lies-erased-line  | large | $owner -DERASURES -DGRANTS -DSTRANGER           | the same, and a stranger begins a line of his own
lies-erased-stays | | $tenant -DNG=2 -DP_ERASED                       | what the tenant had erased, and what was prepared after it, is served by t no more: etcd lies
lies-erased-chain | large | $tenant -DNG=3 -DHONEST_DEVICE -DP_ERASED       | the same: three generations, one after the other
lies-order        | | $liar -DNG=1 -DNP=3 -DSHOWS -DP_LIMIT -DP_ORDER       | P2, order: etcd lies, and shows any points as those before
lies-order-three  | | -DLIMIT=3 -DNG=1 -DNP=4 -DSHOWS -DP_LIMIT -DP_ORDER   | the same: a limit of three
lies-order-4      | | $liar -DN=4 -DNG=1 -DNP=3 -DSHOWS -DP_LIMIT -DP_ORDER | the same: n = 4, t = 3
lies-order-5      | large | -DN=5 -DNG=1 -DNP=3 -DSHOWS -DP_LIMIT -DP_ORDER       | the same: n = 5, t = 3, and nothing is erased
lies-granted      | | $liar -DNG=1 -DNP=3 -DSHOWS -DPAYS -DP_GRANTED        | P3: etcd lies, and shows any points: no attempt without a grant
guard-lost        | | $liar -DLOSS -DNG=1 -DNP=3 -DEVALUATIONS -DP_LIMIT    | P2: etcd lies, a guard is lost, and rebuilt from the others
hostile           | | $liar -DHOSTILE -DNG=2 -DNP=5 -DEVALUATIONS -DP_LIMIT | P3: one hostile replica, etcd lies
attempts-first    | large | $etcd -DNG=2 -DNP=3 -DP_LIMIT -DP_RETRY -DP_LOCKOUT -DP_KEPT -DP_OLDER | P2, P5, P6, no lock-out: first enrolment, two devices' attempts
fleet-4           | | $counted -DN=4 -DP_LIMIT -DP_LOCKOUT                  | P2, no lock-out: n = 4, t = 3, one generation
fleet-5           | | $counted -DN=5 -DP_LIMIT -DP_LOCKOUT                  | the same: n = 5, t = 3
attempts-second   | | $etcd -DNG=2 -DNP=3 -DWATCHED=2 -DP_LIMIT -DP_RETRY -DP_LOCKOUT -DP_KEPT -DP_OLDER | the same: the enrolment that replaces it
attempts-siblings | large | $etcd -DNG=3 -DNP=3 -DWATCHED=2 -DSIBLINGS -DP_LIMIT -DP_RETRY -DP_LOCKOUT -DP_KEPT -DP_OLDER | the same: two devices replace at the same time
enrolments-chain  | | $etcd -DNG=3 -DNP=0 -DP_LOCKOUT -DP_KEPT -DP_OLDER    | P6, no lock-out: three generations, one after the other
enrolments-again  | | $etcd -DNG=3 -DNP=0 -DSIBLINGS -DP_LOCKOUT -DP_KEPT -DP_OLDER | P5, P6, no lock-out: a device begins an enrolment again
enrolments-first  | | $etcd -DNG=2 -DNP=0 -DFIRSTS -DP_LOCKOUT -DP_KEPT | the same: its first one
restored          | large | $restored -DNG=2 -DNP=3 -DP_LIMIT -DP_RETRY -DP_LOCKOUT -DP_KEPT -DP_OLDER -DP_COUNTER -DP_NUMBERS | P2, P5, P6, no lock-out, counters: etcd restored, RECONCILE
restored-twice    | | $restored -DNG=1 -DNP=3 -DMOST_RESTORES=2 -DP_LIMIT -DP_KEPT -DP_COUNTER | P2, P6, counters: etcd restored twice
restored-erased   | large | $restored -DERASURES -DNG=2 -DNP=0 -DP_ERASED           | what the tenant had erased, or the snapshot has as erased, is not in force again
restored-hostile  | | $restored -DLIAR -DNG=2 -DNP=0 -DP_LIAR                   | P3: after a restore one replica says anything to Recall: generations
restored-granted  | large | $restored -DLIAR -DNG=1 -DNP=3 -DP_LIAR             | the same: attempts
restored-chain    | large | $restored -DNG=3 -DNP=0 -DMOST_RESTORES=2 -DP_LOCKOUT -DP_KEPT -DP_OLDER | P6, no lock-out: restored twice, three generations
restored-siblings | | $restored -DNG=3 -DNP=0 -DMOST_RESTORES=2 -DSIBLINGS -DP_LOCKOUT -DP_KEPT -DP_OLDER | the same: two devices replace
epochs-to-4       | | $to_4 $kept                 | no older code comes back, P6, no lock-out: 3 replicas become 4
epochs-to-4-chain | large | $to_4 -DNG=3 $kept    | the same: three generations, one after the other
epochs-to-5       | | $to_5 $kept                 | the same: 3 replicas become 5
epochs-to-5-chain | | $to_5 -DNG=3 -DENROLLED $kept | the same: three generations, the first one enrolled before
epochs-from-4     | | $from_4 $kept               | the same: 4 replicas become 3
epochs-from-5     | large | $from_5 $kept         | the same: 5 replicas become 3
epochs-swap       | | $swap -DNG=3 $kept          | the same: one of 3 replicas leaves, another one comes
epochs-siblings   | | $swap -DNG=3 -DSIBLINGS $kept | the same: and two devices replace
epochs-siblings-4 | large | $to_4 -DNG=3 -DSIBLINGS $kept | the same: 3 replicas become 4, two devices replace
epochs-siblings-5 | large | $to_5 -DNG=3 -DSIBLINGS -DENROLLED $kept | the same: 3 replicas become 5
epochs-hidden     | | $to_5 -DFIRSTS $kept        | the same: etcd hides the record from a device that enrols
epochs-try-to-4   | | $to_4 $attempt -DP_LIMIT    | P2: a change in the middle of an attempt, 3 to 4
epochs-try-to-5   | | $to_5 $attempt -DP_LIMIT    | the same: 3 to 5
epochs-try-from-4 | | $from_4 $attempt -DP_LIMIT  | the same: 4 to 3
epochs-try-from-5 | | $from_5 $attempt -DP_LIMIT  | the same: 5 to 3
epochs-try-swap   | | $swap $attempt -DP_LIMIT    | the same: one of 3 leaves, another one comes
epochs-vote-to-4  | | $to_4 $attempt -DONE_POINT -DP_LOCKOUT | no lock-out: a change in the middle of an attempt, 3 to 4
epochs-vote-to-5  | | $to_5 $attempt -DONE_POINT -DP_LOCKOUT | the same: 3 to 5
epochs-vote-from-4 | | $from_4 $attempt -DONE_POINT -DP_LOCKOUT | the same: 4 to 3
epochs-vote-from-5 | | $from_5 $attempt -DONE_POINT -DP_LOCKOUT | the same: 5 to 3
holds-veto-3      | | $h3 -DAPPROVALS $veto                           | what a final veto stops never opens, and whoever asks later hears of it: n = 3, t = 2, m = 3
holds-veto-3-2    | | $h3_2 -DAPPROVALS $veto                         | the same: m = 2
holds-veto-4      | | $h4 -DAPPROVALS $veto                           | the same: n = 4, t = 3, m = 4
holds-veto-4-3    | | $h4_3 -DAPPROVALS $veto                         | the same: m = 3
holds-veto-5      | | $h5 -DAPPROVALS $veto                           | the same: n = 5, t = 3, m = 5
holds-liar-3      | | $h3 -DF=1 $veto                                 | the same: n = 3, t = 2, one lies, and one signature more
holds-liars-4     | | $h4 -DF=2 $veto                                 | the same: n = 4, t = 3, two lie, and two more
holds-liars-5     | | $h5 -DF=2 $veto                                 | the same: n = 5, t = 3
holds-lost-3      | | $h3 -DLOSS_AFTER $veto                          | the same: guards are lost after it was final, one at a time: n = 3, t = 2, m = 3
holds-lost-4      | | $h4 -DLOSS_AFTER $veto                          | the same: n = 4, t = 3, m = 4
holds-lost-5      | | $h5 -DLOSS_AFTER $veto                          | the same: n = 5, t = 3, m = 5
holds-lost-liar-4 | | $h4 -DF=2 -DLOSS_AFTER $veto                    | the same: n = 4, t = 3, two lie
holds-lost-liar-5 | | $h5 -DF=2 -DLOSS_AFTER $veto                    | the same: n = 5, t = 3
holds-lost-all-3  | | $h3_2 -DMORE=1 -DLOSS_AFTER $veto               | the same: m = t = 2, and one signature more
holds-lost-all-4  | | $h4_3 -DMORE=1 -DLOSS_AFTER $veto               | the same: m = t = 3
holds-unasked-4   | | $h4 -DLOSS_AFTER -DUNASKED -DP_VETO             | what a final veto stops never opens, also where nobody asks before a release
holds-lost-any-3  | | $h3 -DLOSS $veto                                | the same: guards are lost at any time, and one that was rebuilt signs no veto: n = 3, t = 2, m = 3
holds-lost-any-4  | | $h4 -DLOSS $veto                                | the same: n = 4, t = 3, m = 4
holds-lost-any-5  | | $h5 -DF=2 -DLOSS $veto                          | the same: n = 5, t = 3, two lie
holds-counted-3   | | $h3 -DLOSS -DCOUNTS $veto                       | the same, and it signs vetoes of what is counted later: n = 3, t = 2, m = 3
holds-counted-4   | large | $h4 -DLOSS -DCOUNTS $veto                  | the same: n = 4, t = 3, m = 4
holds-counted-5   | | $h5 -DF=1 -DMORE=2 -DLOSS -DONE_LOSS -DCOUNTS $veto | the same: n = 5, t = 3, one lies, one is lost, and two signatures more
holds-time-3      | | $h3 -DNB=2 -DLOSS $hold                         | nothing opens before its time: guards are lost, n = 3, t = 2
holds-time-liar-3 | | $h3 -DF=1 -DNB=2 -DLOSS $hold                   | the same: one lies
holds-time-4      | | $h4 -DF=2 -DNB=2 -DLOSS $hold                   | the same: n = 4, t = 3, two lie
holds-approved    | | $h3 -DF=1 -DNB=2 -DLOSS -DAPPROVALS $hold       | the same for the other base, where the owner approves his own by its name
holds-base-3      | | $h3 -DNB=2 -DP_RIDE                             | nobody rides on another's point: n = 3, t = 2
holds-base-liar-3 | | $h3 -DF=1 -DNB=2 -DP_RIDE                       | the same where the owner was first: one lies
holds-base-liar-4 | | $h4 -DF=1 -DNB=2 -DP_RIDE                       | the same: n = 4, t = 3, one lies
holds-base-5      | | $h5 -DNB=2 -DP_RIDE                             | the same: n = 5, t = 3
holds-base-named  | | $h3 -DNB=2 -DAPPROVALS -DP_RIDE                 | the same, and an approval before any proof makes the owner first: n = 3, t = 2
holds-owner-3     | | $h3 $own                                        | no lock-out: a fresh point of the owner's, whatever is proved and vetoed for another
holds-owner-4     | | $h4 -DF=1 $own                                  | the same: n = 4, t = 3, one lies
holds-spent-3     | | $h3 -DP_SPENT                                   | no record is destroyed as spent while t hold it: n = 3, t = 2
holds-spent-4     | | $h4 -DP_SPENT                                   | the same: n = 4, t = 3
holds-spent-lost  | | $h3 -DLOSS -DP_SPENT                            | the same: guards are lost, and one that was rebuilt waits for what it may have forgotten
shares-erased-3   | | $s3 -DLOSS -DND=2 -DP_DESTROYED                 | what is erased opens no more, whoever has all that is stored: guards are lost, n = 3, t = 2
shares-erased-4   | | $s4 -DP_DESTROYED                               | the same: n = 4, t = 3, no guard is lost
shares-lost-4     | large | $s4 -DLOSS -DP_DESTROYED                  | the same: guards are lost, each deals once
shares-erased-5   | | $s5 -DNO=2 -DP_DESTROYED                        | the same: n = 5, t = 3, two of them deal, no guard is lost
shares-liar-3     | | $s3 -DF=1 -DLOSS -DND=2 -DP_DESTROYED           | the same: n = 3, t = 2, one lies, guards are lost
shares-liar-4     | | $s4 -DF=1 -DLOSS -DND=2 -DP_DESTROYED           | the same: n = 4, t = 3
shares-liars-4    | | $s4 -DF=2 -DLOSS -DND=2 -DP_DESTROYED           | the same: two lie
shares-liars-5    | | $s5 -DF=2 -DLOSS -DND=2 -DP_DESTROYED           | the same: n = 5, t = 3
shares-kept-3     | | $s3 -DNO=1 -DND=3 -DLOSS -DP_KEPT               | whose deal all others confirmed gets its seed back: n = 3, t = 2
shares-kept-4     | | $s4 -DNO=1 -DND=3 -DLOSS -DP_KEPT               | the same: n = 4, t = 3
shares-kept-5     | | $s5 $one -DLOSS -DP_KEPT                        | the same: n = 5, t = 3
shares-kept-5-one | | $s5 -DF=1 $one -DLOSS -DP_KEPT                  | the same: one lies
"

# name | flags | the rule that is missing. Each has only the property switched on that it must break.
mutants="
bound-reached        | $liar -DHOSTILE -DNG=1 -DNP=5 -DEVALUATIONS -DP_REACHED       | none: shows that the bound of P3 is reached
one-vote-less        | $liar -DNG=1 -DNP=3 -DP_LIMIT -DM_ONE_VOTE_LESS               | evaluate with t-1 votes
one-vote-less-4      | -DN=4 -DNG=1 -DNP=3 -DP_LIMIT -DM_ONE_VOTE_LESS               | the same: n = 4
one-vote-less-5      | -DN=5 -DNG=1 -DNP=3 -DP_LIMIT -DM_ONE_VOTE_LESS               | the same: n = 5
overwrite            | $liar -DNG=1 -DNP=3 -DP_LIMIT -DM_OVERWRITE                   | a guard writes over an attempt
ticket-any-time      | $liar -DNG=1 -DNP=3 -DP_LIMIT -DM_TICKET_ANY_TIME             | a ticket outlives a generation
ticket-by-name       | $liar -DNG=2 -DNP=3 -DWATCHED=2 -DREUSES -DP_LIMIT -DM_TICKET_BY_NAME | a ticket holds whenever the name that the body replaces is served
seed-by-name         | $liar -DNG=1 -DNP=3 -DREUSES -DP_LIMIT -DM_SEED_BY_NAME       | a seed is made of names and P alone: neither nonce nor changes
body-again           | $liar -DNG=2 -DNP=3 -DNAMESAKE -DP_LIMIT -DM_BODY_AGAIN | who did not begin finishes: a known body under new seeds
guard-recreated      | $liar -DLOSS -DNG=1 -DNP=3 -DEVALUATIONS -DP_LIMIT -DM_RECREATED_SILENTLY    | a lost guard starts anew as if nothing was, and the ticket secret too
guard-from-one       | $liar -DLOSS -DNG=1 -DNP=3 -DEVALUATIONS -DP_LIMIT -DM_REBUILT_FROM_ONE      | a guard rebuilt from n-t others
guard-disagreeing    | $liar -DLOSS -DNG=1 -DNP=3 -DEVALUATIONS -DP_LIMIT -DM_REBUILT_DISAGREEING   | a guard rebuilt from others that have different points under one number
guard-old-votes      | $liar -DLOSS -DNG=1 -DNP=3 -DEVALUATIONS -DP_LIMIT -DM_OLD_VOTES_COUNT       | votes of the lost guard count after it is rebuilt
hostile-overwrite    | -DHOSTILE -DNG=1 -DNP=5 -DP_LIMIT -DM_OVERWRITE | P3: a guard writes over an attempt
hostile-uncounted    | $liar -DHOSTILE -DNG=1 -DNP=5 -DEVALUATIONS -DP_LIMIT -DM_EVALUATES_UNCOUNTED | P3: evaluate on another's word, uncounted
hostile-ticket       | $liar -DHOSTILE -DNG=1 -DNP=5 -DEVALUATIONS -DP_LIMIT -DM_TICKET_ANY_TIME | P3: a ticket outlives a generation
lost-unsigned        | $owner -DHONEST_DEVICE -DM_PROMOTES_UNSIGNED | promote what fewer than t prepared
lost-keeps-next      | $owner -DHONEST_DEVICE -DM_KEEPS_SUCCESSORS  | promotion keeps only what names the promoted one as previous
lost-goes-back       | $owner -DHONEST_DEVICE -DSIBLINGS -DM_GOES_BACK | a guard promotes what comes before what it serves
lost-ties            | $owner -DHONEST_DEVICE -DSIBLINGS -DM_TIES   | of two that replace the same generation neither comes after
lost-any-line        | $owner -DSTRANGER -DM_ANY_LINE               | a higher number comes after, whoever signed for it
lost-served-binds    | $owner -DSTRANGER -DM_SERVED_BINDS           | a guard that serves nothing takes what it prepared of any line
lost-names-owner     | $owner -DFORGER -DM_ETCD_NAMES_OWNER         | the owner is that of any body that etcd shows
lost-forgets         | $owner -DERASURES -DGRANTS -DM_FORGETS_UNSHOWN | forget on etcd's word
erased-costs-later   | $owner -DERASURES -DGRANTS -DHONEST_DEVICE -DSIBLINGS | none: shows that erasing a generation may cost one of two that replace it at once
erased-takes-line    | $owner -DERASURES -DGRANTS -DHONEST_DEVICE -DM_ERASES_LINE | a tenant's erasure takes all that is prepared of the line
erased-successors    | $tenant -DNG=2 -DP_ERASED -DM_ERASES_NO_SUCCESSORS | a tenant's erasure leaves what is prepared to come after
erased-tickets       | $tenant -DNG=2 -DP_ERASED -DM_ERASURE_KEEPS_TICKETS | it ends tickets only where something was served
erased-few           | $restored -DERASURES -DNG=2 -DNP=0 -DP_ERASED -DM_RECONCILE_FEW_HOLDERS | RECONCILE to what fewer than t of the asked hold
erased-tombstone     | $restored -DERASURES -DNG=2 -DNP=0 -DP_ERASED -DM_RECONCILE_FORGETS_TOMBSTONE | RECONCILE to what the snapshot has as erased
reconcile-unproven   | $restored -DLIAR -DNG=2 -DNP=0 -DP_LIAR -DM_RECONCILE_UNPROVEN | RECONCILE takes what is said to be served without t prepared
reconcile-ungranted  | $restored -DLIAR -DNG=1 -DNP=3 -DP_LIAR -DM_RECONCILE_UNGRANTED | RECONCILE takes points without their grants
lockout-tombstone    | $etcd -DNG=3 -DNP=0 -DP_LOCKOUT -DM_TOMBSTONE_BELIEVED | a guard that serves one line prepares another one, over a tombstone
lockout-forgets-one  | $etcd -DNG=3 -DNP=0 -DP_LOCKOUT -DM_FORGETS_ONE | forget only the very generation that is shown erased
older-ticket         | $liar -DNG=3 -DNP=0 -DENROLLED -DP_OLDER -DM_TICKET_ANY_TIME  | a ticket outlives a generation
older-ticket-ended   | $liar -DNG=3 -DNP=0 -DENROLLED -DP_OLDER -DM_TICKET_COUNTS_ENDED -DM_GOES_BACK | a ticket counts what ended, not what began; and a guard goes back
order-none           | $liar -DNG=1 -DNP=3 -DSHOWS -DP_ORDER -DM_ANY_ORDER           | a guard counts any number that is free
order-none-three     | -DLIMIT=3 -DNG=1 -DNP=4 -DSHOWS -DP_ORDER -DM_ANY_ORDER       | the same: a limit of three
order-none-4         | -DN=4 -DNG=1 -DNP=3 -DSHOWS -DP_ORDER -DM_ANY_ORDER           | the same: n = 4
order-none-5         | -DN=5 -DNG=1 -DNP=3 -DSHOWS -DP_ORDER -DM_ANY_ORDER           | the same: n = 5
order-plain          | $etcd -DNG=1 -DNP=3 -DP_LOCKOUT -DM_SHOWN_NOTHING             | a guard counts 2 after 1, and nothing that it is shown: its device is gone
shown-ungranted      | $liar -DNG=1 -DNP=3 -DSHOWS -DPAYS -DP_GRANTED -DM_SHOWN_UNGRANTED | a guard counts a point that it is shown without a grant
shown-twice          | $liar -DNG=1 -DNP=3 -DSHOWS -DPAYS -DP_GRANTED -DM_SHOWN_TWICE | a guard is shown the very point that it is asked for as the one before
retry-spends         | $etcd -DNG=1 -DNP=3 -DP_RETRY -DM_RETRY_SPENDS                | SPEND does not look h up
retry-no-compare     | $etcd -DNG=1 -DNP=3 -DP_RETRY -DM_NO_COMPARE                  | no compare on mod_revision
retry-enrol-resets   | $etcd -DNG=1 -DNP=3 -DP_RETRY -DM_ENROL_RESETS                | ENROL of the same g starts H anew
lockout-no-compare   | $etcd -DNG=1 -DNP=3 -DP_LOCKOUT -DM_NO_COMPARE                | no compare on mod_revision
lockout-last-only    | $etcd -DNG=1 -DNP=3 -DP_LOCKOUT -DM_LAST_ONLY                 | a guard keeps the last attempt only
lockout-last-only-4  | $counted -DN=4 -DP_LOCKOUT -DM_LAST_ONLY                      | the same: n = 4
lockout-last-only-5  | $counted -DN=5 -DP_LOCKOUT -DM_LAST_ONLY                      | the same: n = 5
lockout-clears       | $etcd -DNG=2 -DNP=0 -DP_LOCKOUT -DM_CLEARS_ALL_PREPARED       | promotion drops the successor that was prepared
lockout-evicts       | $etcd -DNG=3 -DNP=0 -DP_LOCKOUT -DM_EVICTS -DSIBLINGS         | a new prepared generation pushes out a committed one
kept-unread          | $etcd -DNG=2 -DNP=0 -DP_KEPT -DM_PROMOTES_UNREAD              | promote without reading etcd
kept-any-previous    | $etcd -DNG=2 -DNP=0 -DP_KEPT -DM_ANY_PREVIOUS                 | ENROL does not compare g with body.previous
restored-few         | $restored -DNG=2 -DNP=0 -DP_KEPT -DM_RECONCILE_FEW_HOLDERS    | RECONCILE to what fewer than t of the asked hold
restored-few-votes   | $restored -DNG=1 -DNP=3 -DP_LOCKOUT -DM_RECONCILE_FEW_HOLDERS | the same: attempts get stuck
restored-gives-up    | $restored -DNG=3 -DNP=0 -DMOST_RESTORES=2 -DP_LOCKOUT -DM_RECONCILE_GIVES_UP -DM_KEEPS_SUCCESSORS | RECONCILE gives up on a latest that fewer than t hold; and promotion keeps only what names it
counter-takes-one    | $restored -DNG=1 -DNP=3 -DP_COUNTER -DM_RECONCILE_TAKES_ONE   | RECONCILE takes one guard's H, not that of all
counter-drops-left   | $restored -DNG=1 -DNP=3 -DMOST_RESTORES=2 -DP_COUNTER -DM_RECONCILE_DROPS_LEFT | RECONCILE takes one point for each number, and drops the others
counter-unfenced     | $restored -DNG=1 -DNP=3 -DP_COUNTER -DM_RECONCILE_UNFENCED    | RECONCILE asks guards of the old epoch
counter-any-epoch    | $restored -DNG=1 -DNP=3 -DP_COUNTER -DM_ANY_EPOCH              | a replica votes for a coordinator of the old epoch
counter-no-fence     | $restored -DNG=1 -DNP=3 -DP_COUNTER -DM_NO_FENCE              | no compare on the incarnation
epochs-replaced      | $to_4 -DP_REPLACED                        | none: shows that a generation of 2 of 3 is replaced under 3 of 4
epochs-both-vote     | $from_5 $attempt -DP_VOTED_IN_BOTH        | none: shows that an attempt is counted under both statements
epochs-t-in-force    | $from_5 $attempt -DP_LIMIT -DM_T_IN_FORCE | a record goes by the t of the statement in force: 5 to 3
epochs-t-in-force-4  | $to_4 -DNG=1 -DP_LOCKOUT -DM_T_IN_FORCE   | the same: 3 to 4
epochs-t-lost        | $from_4 -DP_LOST -DM_T_IN_FORCE           | the same: 4 to 3
epochs-t-claimed     | $to_5 $attempt -DP_LIMIT -DM_T_CLAIMED    | a record goes by a t that somebody claims
epochs-claimed-lost  | $to_5 -DP_LOST -DM_T_CLAIMED              | the same
epochs-revoked       | $swap $attempt -DP_LIMIT -DM_REVOKED_COUNTS | votes by a key that is not in force count
epochs-revoked-lock  | $swap -DP_LOCKOUT -DM_REVOKED_COUNTS      | \`prepared\` by a key that is not in force counts
epochs-vote-once     | $to_5 $attempt -DONE_POINT -DP_LOCKOUT -DM_VOTES_ONCE | what a guard counted it votes for under one statement only
epochs-at-t          | $to_5 -DP_OLDER -DM_ACKNOWLEDGED_AT_T     | a replacement is acknowledged at t, whoever still holds what it replaces
epochs-hidden-at-t   | $to_5 -DFIRSTS -DP_OLDER -DM_ACKNOWLEDGED_AT_T | the same, where there seems to be nothing
epochs-left          | $swap -DP_OLDER -DM_LEFT_FORGOTTEN        | who left does not count among those that may hold what is replaced
epochs-body-alone    | $to_5 -DNG=3 -DENROLLED -DP_OLDER -DM_BODY_ALONE | who recovered has that body dropped by its holders, and nothing by others
epochs-body-knows    | $swap -DNG=3 -DSIBLINGS -DP_OLDER -DM_BODY_AND_BEFORE | the same, and what is of an epoch before the body's by n-t+1
holds-few            | $h3 -DMORE=-1 -DP_VETO                        | a veto is final at m-t signatures
holds-few-liar       | $h3 -DF=1 -DMORE=0 -DP_VETO                   | it is final at m-t+1, and one lies
holds-few-liars      | $h4 -DF=2 -DMORE=1 -DP_VETO                   | it is final at m-t+2, and two lie
holds-few-lost       | $h3_2 -DLOSS_AFTER -DP_VETO                   | it is final at m-t+1 = 1, and that guard is lost: m = t
holds-forgot-veto    | $h3 -DM_FORGETS_VETO -DP_VETO                 | a veto is not on disk
holds-forgot-answer  | $h3 -DM_FORGETS_RELEASE -DP_VETO              | nor is a release, before the answer is given
holds-signs-late     | $h3 -DM_SIGNS_RELEASED -DP_VETO               | a guard signs a veto of what it released
holds-marks-unseen   | $h3 -DM_MARKS_UNSEEN -DP_VETO                 | it marks the release without a look at its own veto, once it asked
holds-approval-wins  | $h3 -DAPPROVALS -DM_APPROVAL_WINS -DP_VETO    | an approval takes the place of a veto
holds-rebuilt-none   | $h3 -DLOSS_AFTER -DASKED=0 -DP_VETO           | a guard is rebuilt without the vetoes of others
holds-rebuilt-few    | $h4 -DLOSS_AFTER -DASKED=2 -DP_VETO           | it is rebuilt with those of n-t+1 others: n = 4, t = 3
holds-lost-signs     | $h3 -DLOSS -DM_REBUILT_SIGNS -DP_VETO         | one that was rebuilt signs a veto of what it may have released
holds-lost-old       | $h3 -DLOSS -DM_OLD_SIGNATURES -DP_VETO        | what it signed before it was lost counts towards a veto that is not final
holds-lost-liars     | $h3 -DF=1 -DLOSS -DCOUNTS -DP_VETO            | none: shows that one may sign a veto of what it released, where only t-1 that lie counted it with it
holds-counted-few    | $h5 -DF=1 -DLOSS -DONE_LOSS -DCOUNTS -DP_VETO | it is final at one signature more for one that lies, and none for one that is lost
holds-asks-none      | $h3 -DASKS=0 -DP_STOPS                        | it asks nobody before it releases
holds-asks-few       | $h4 -DASKS=1 -DP_STOPS                        | it asks t-2 others
holds-told           | $h3 -DF=1 -DLOSS -DM_HOLD_TOLD $hold          | a guard that was rebuilt takes from others when a hold began
holds-base-early     | $h3 -DNB=2 -DM_LAST_BASE $hold                | the last proof fixes the base, and not the first: one is in time by another's hold
holds-base-last      | $h3 -DNB=2 -DM_LAST_BASE -DP_RIDE             | the same: it takes the owner's place
holds-base-unfixed   | $h3 -DNB=2 -DAPPROVALS -DM_APPROVAL_FIXES_NONE -DP_RIDE | an approval before any proof fixes no base
holds-approves-all   | $h3 -DNB=2 -DAPPROVALS -DM_APPROVES_ALL $hold | an approval names no base, and lets the first one go
holds-base-lost      | $h3 -DNB=2 -DLOSS -DP_BOTH                    | none: shows that two bases may open where a guard is lost that had the first
holds-base-liars     | $h3 -DF=1 -DNB=2 -DP_BOTH                     | none: shows that they may where 2t-m lie
holds-one            | $h3 -DM_ONE_HOLD $own                         | a record has one hold, not one for each point
holds-veto-of-all    | $h3 -DM_VETO_OF_ALL $own                      | a veto is of the record, not of a point
holds-spent-at-once  | $h3 -DM_SPENT_AT_ONCE -DP_SPENT               | a guard signs \`spent\` while it holds something
holds-spent-begins   | $h3 -DM_CLOSED_BEGINS -DP_SPENT               | a guard that signed \`spent\` begins a hold
holds-spent-rebuilt  | $h3 -DLOSS -DM_SPENT_REBUILT -DP_SPENT        | a guard that was rebuilt takes over when others counted: it forgot its hold
holds-spent-first    | $h3 -DP_SPENT -DP_ALL_OVER                    | none: shows that it may be destroyed once the first of t holds is over, and not the last
shares-few           | $s3 -DLESS=1 -DP_DESTROYED                    | it counts as erased at n-t signatures
shares-few-liar      | $s4 -DF=1 -DLESS=1 -DP_DESTROYED              | it does at n-t+1, and one lies
shares-late          | $s3 -DM_KEEPS_ERASED -DP_DESTROYED            | a guard keeps a share that arrives after it erased
shares-left          | $s3 -DM_LEAVES_SHARES -DP_DESTROYED           | to erase leaves the shares of others' seeds
shares-given         | $s3 -DF=1 -DM_GIVES_ANYBODY -DP_DESTROYED     | a guard gives shares to anybody
shares-given-4       | $s4 -DF=1 -DM_GIVES_ANYBODY -DP_DESTROYED     | the same: n = 4, t = 3
shares-split-less    | $s3 -DM_SPLIT_LESS -DP_DESTROYED              | t-1 shares make the seed
shares-split-less-4  | $s4 -DF=1 -DM_SPLIT_LESS -DP_DESTROYED        | the same: n = 4, t = 3
shares-signatures    | $s3 -DLOSS -DM_OLD_SIGNATURES -DP_DESTROYED   | what a guard signed before it was lost counts after it is rebuilt
shares-statement     | $s3 -DLOSS -DM_ANY_STATEMENT -DP_DESTROYED    | a share is kept that was sent under the statement before
shares-mixed         | $s5 $one -DLOSS -DM_MIXES -DP_KEPT            | shares of two deals are combined
shares-reordered     | $s3 $one -DM_ANY_ORDER -DP_KEPT               | a share of an earlier deal takes the place of one that was confirmed
shares-gap           | $s3 $one -DP_GAP                              | none: shows that another deal, while under way, takes away what all had kept of the one before
"

quick=
names=()
for argument in "$@"; do
  case $argument in
    --quick) quick=yes ;;
    -*) sed -n '2,4s/^# //p' "$0" >&2; exit 64 ;;
    *) names+=("$argument") ;;
  esac
done

command -v spin >/dev/null && command -v gcc >/dev/null || { echo 'model: spin and gcc are needed; make setup installs them' >&2; exit 1; }

# The search is exhaustive: full states, compressed without loss (COLLAPSE). Breadth first finds the shortest counterexample.
search() { # name, breadth|depth, gcc option, [file,] flags...
  local name=$1 mode=-DCOLLAPSE optimise=$3 file=attempts.pml
  [ "$2" = depth ] || mode=-DBFS
  shift 3
  [[ $1 != *.pml ]] || { file=$1; shift; }
  rm -rf "${build:?}/$name"
  mkdir -p "$build/$name"
  cd "$build/$name" || return
  {
    spin -a "$@" "$here/$file" &&
      gcc $optimise -w -DSAFETY -DNOREDUCE -DMEMLIM=$MEMORY_MB $mode -o pan pan.c &&
      nice ./pan -n -m$DEPTH
  } >out 2>&1
  [ ! -e "$file.trail" ] || spin -k "$file.trail" "$@" "$here/$file" >trail.txt 2>&1
  rm -f pan pan.? # 1 MB each
}

value() { # name, sed expression with one group
  sed -En "s/$2/\1/p" "$build/$1/out" | head -n 1
}

is_exhaustive() {
  grep -q 'Full statespace search\|Using Breadth-First Search' "$build/$1/out" &&
    ! grep -Eq 'Search not completed|max search depth too small|MEMLIM|out of memory|aborted' "$build/$1/out"
}

failed=0
row() { printf '%-19s %-9s %10s %6s %6s %6s  %s\n' "$@"; }

report() { # name, configuration|mutant, text
  local name=$1 verdict states depth seconds memory errors
  states=$(value "$name" '^ *([0-9]+) states, stored.*')
  depth=$(value "$name" '.*depth reached ([0-9]+).*')
  seconds=$(value "$name" '.*elapsed time ([0-9.]+).*')
  memory=$(value "$name" '^ *([0-9]+)\.[0-9]+\s+total actual memory usage')
  errors=$(value "$name" '.*errors: ([0-9]+).*')
  verdict=FAILED
  if [ "$2" = configuration ]; then
    if [ "$errors" = 0 ] && is_exhaustive "$name"; then verdict=held; fi
  elif [ "$errors" = 1 ] && grep -q '<- VIOLATED' "$build/$name/trail.txt"; then
    verdict=caught
    [[ $3 != none:* ]] || verdict=reached
  fi
  [ "$verdict" != FAILED ] || failed=$((failed + 1))
  row "$name" "$verdict" "${states:--}" "${depth:--}" "${seconds:--}" "${memory:--}" "$3"
}

wanted() { # name, size
  if [ ${#names[@]} -gt 0 ]; then
    [[ " ${names[*]} " == *" $1 "* ]]
  else
    [ -z "$quick" ] || [ "$2" != large ]
  fi
}

trim() { local text=${1#"${1%%[![:space:]]*}"}; printf '%s' "${text%"${text##*[![:space:]]}"}"; }

began=$SECONDS
order=()
declare -A kind text
start() { # name, kind, text, flags, size
  order+=("$1")
  kind[$1]=$2 text[$1]=$3
  local mode=depth optimise=-O0 # -O2 takes gcc 5 s and more: worth it for large ones
  [ "$2" = configuration ] || mode=breadth
  [ "${5:-}" != large ] || optimise=-O2
  while [ "$(jobs -pr | wc -l)" -ge 2 ]; do wait -n; done
  # shellcheck disable=SC2086 # flags are words
  search "$1" "$mode" $optimise $4 &
}

left_out=0
while IFS='|' read -r name size flags about; do
  name=$(trim "$name") size=$(trim "$size")
  [ -n "$name" ] || continue
  if wanted "$name" "$size"; then start "$name" configuration "$(trim "$about")" "$flags" "$size"; else left_out=$((left_out + 1)); fi
done <<<"$configurations"
while IFS='|' read -r name flags about; do
  name=$(trim "$name")
  [ -n "$name" ] || continue
  if wanted "$name" small; then start "$name" mutant "$(trim "$about")" "$flags"; fi
done <<<"$mutants"
wait

row configuration result states depth s MiB 'what holds'
previous=configuration
for name in "${order[@]}"; do
  if [ "${kind[$name]}" != "$previous" ]; then
    previous=mutant
    echo
    row mutant result states depth s MiB 'what is missing; depth: events to the shortest counterexample'
  fi
  report "$name" "${kind[$name]}" "${text[$name]}"
done

if [ ${#order[@]} -eq 0 ]; then echo "model: no such name: ${names[*]}" >&2; exit 64; fi
summary="model: $((${#order[@]} - failed)) of ${#order[@]} as they must be, in $((SECONDS - began)) s"
[ "$left_out" -eq 0 ] || [ -z "$quick" ] || summary="$summary; $left_out large configurations left out"
echo "$summary"
[ "$failed" -eq 0 ]
