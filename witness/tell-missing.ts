import type { Collected } from '../fleet/witness/collect.ts';

/** Sentences about cosigners that did not sign. The checkpoint is public without them; clients may want more of them. */
export const tellMissing = (missing: Collected['missing']): string[] => missing.map(({ reason }) => `Not cosigned: ${reason}`);
