/** Why a statement, a bundle or evidence is refused. Each says what is wrong in one sentence; part of the interface, never renamed. */
export const checkCodes = {
  // The statement
  'statement-malformed': 'The fleet statement is not a statement of this version in canonical form.',
  'threshold-not-majority': 'The threshold is not more than half of the replicas.',
  'duplicate-name': 'Two replicas have the same name.',
  'duplicate-key': 'Two keys are the same, or differ in their sign alone.',
  'duplicate-serial': 'Two replicas name the same token.',
  'statement-not-in-force': 'The statement is not valid at this time.',
  'statement-older': 'The statement is of an older epoch than the lowest that is accepted.',
  'operators-few': 'Fewer operators than are demanded run enough replicas for the threshold.',
  'statement-superseded': 'A newer epoch of the fleet is in force in its place.',
  'epoch-gap': 'The epoch does not follow the previous one.',
  'previous-mismatch': 'The statement does not name the previous statement by its hash.',
  // The bundle
  'bundle-malformed': 'The bundle is not signed S/MIME of the one form that is accepted.',
  'signature-missing': 'One of the two signatures is missing.',
  'order-swapped': 'The two signatures are in the wrong order.',
  'statement-tampered': 'What was signed is not what is there.',
  'certificate-expired': 'A certificate is not valid at this time.',
  'certificate-untrusted': 'A certificate does not come from the authority that it should.',
  // The log
  'proof-malformed': 'A proof from the log does not have the form that it should.',
  'checkpoint-signature': 'The log did not sign the checkpoint.',
  'checkpoint-stale': 'The checkpoint is too old, or from the future.',
  'log-shrank': 'The log shows fewer entries than before.',
  'inclusion-proof': 'The log does not hold this statement.',
  'log-forked': 'The log shows another history than before.',
  'checkpoint-malformed': 'What the log answers is not a checkpoint.',
  'tree-mismatch': 'The entries and tiles of the log are not those of the tree that it signed.',
  'newest-mismatch': 'The checkpoint does not name the epochs that operators put in force.',
  'in-force-refused': 'What puts an epoch in force names none that it may.',
  'cosignatures-few': 'Too few other witnesses signed the checkpoint.',
  // The evidence
  'evidence-incomplete': 'A file that belongs to the evidence is missing.',
  'manifest-mismatch': 'A file is not the one that the manifest names.',
  'evidence-mismatch': 'The evidence is not that of this statement.',
  'plan-mismatch': 'The fleet is not the one that was planned.',
  'transcript-broken': 'The transcript of the ceremony is not one unbroken chain.',
  'token-key-differs': 'A replica’s token holds another key than the statement says.',
  'attributes-unsafe': 'A key may do what it must not, or may leave its token.',
  'participant-missing': 'A participant of the ceremony did not sign.',
  'participant-signature': 'A participant’s signature is wrong.',
  'participant-disagrees': 'A participant does not agree.',
  'anchors-differ': 'The keys in the evidence are not those known from elsewhere.',
  // What a client expects
  'statement-not-pinned': 'The statement is not one of those that are pinned.',
  'fleet-differs': 'The statement is of another fleet.',
  'fleet-not-older': 'What should be the fleet that is being replaced is the new one, or not older than it.',
  'memory-damaged': 'What the device remembers of the fleet is damaged.',
} as const;

export type CheckCode = keyof typeof checkCodes;
