import type { SlotReport } from '../pkcs11/inspect.ts';
import type { Profile } from '../profile.ts';
import type { Guard } from './probe.ts';
import type { ProbeResult } from './probes.ts';

// What follows from attempts, in sentences.

/** A rule that the profile states and the token breaks. The daemon would refuse to start. */
export const brokenRules = (attacks: readonly ProbeResult[]): string[] =>
  byGuard(attacks, ({ required, outcome }) => required && outcome === 'accepted').map(
    ([guard, found]) => `it breaks a rule, ${rules[guard]}${remedy(guard)}; it accepts: ${names(found)}`,
  );

/** Nor would it start with a rule that it cannot see kept. */
export const unshownRules = (attacks: readonly ProbeResult[]): string[] =>
  byGuard(attacks, ({ required, outcome }) => required && outcome === UNTRIED).map(
    ([guard, found]) => `nothing shows that it keeps a rule, ${rules[guard]}${remedy(guard)}; ${untried(found)}`,
  );

/** One sentence for each rule that the profile does not state, and the token does not follow or was not seen to follow. */
export const guardRisks = (attacks: readonly ProbeResult[]): string[] => [
  ...byGuard(attacks, ({ required, outcome }) => !required && outcome === 'accepted').map(([guard]) => `${guard}: ${risks[guard]}`),
  ...byGuard(attacks, ({ required, outcome }) => !required && outcome === UNTRIED).map(
    ([guard, found]) => `${guard}: ${untried(found)}. If it works, ${risks[guard]}`,
  ),
];

const UNTRIED = 'could not be tried' satisfies ProbeResult['outcome'];

function byGuard(attacks: readonly ProbeResult[], isMeant: (attack: ProbeResult) => boolean): [Guard, readonly ProbeResult[]][] {
  const meant = attacks.filter(isMeant);
  const guards = [...new Set(meant.map(({ stoppedBy }) => stoppedBy))];
  return guards.map((guard) => [guard, meant.filter(({ stoppedBy }) => stoppedBy === guard)]);
}

const names = (attacks: readonly ProbeResult[]): string => attacks.map(({ name }) => name).join('; ');

const untried = (attacks: readonly ProbeResult[]): string =>
  `could not be tried: ${names(attacks)} (${[...new Set(attacks.map(({ answer }) => answer))].join('; ')})`;

const remedy = (guard: Guard): string =>
  guard === 'attributes' || guard === 'points'
    ? ', which no token may be without'
    : ` (a copy of the profile that says so, ${guard}: false, accepts that as a risk)`;

const rules: Record<Guard, string> = {
  attributes: 'that a key does what its attributes allow and keeps its value',
  points: 'that it derives with points of the curve alone: any other gives the key away, a few bits with each answer',
  extractable: 'that a key that is not EXTRACTABLE is wrapped by nothing',
  copy: 'that what is not COPYABLE is not copied, and a copy is no looser than its original',
  derive: 'that a key without DERIVE derives nothing',
  allowedMechanisms: 'that ALLOWED_MECHANISMS is enforced',
};

const risks: Record<Guard, string> = {
  ...rules, // none of the first two: they are asked of every token
  extractable: 'a host with the PIN can wrap the four keys to a key that it knows and take them away for good.',
  copy: 'a host with the PIN can copy a key with another use switched on, or as one that may leave the token.',
  derive: 'a host with the PIN can use the receipt key for ECDH, or cut the MAC key into keys that it can read.',
  allowedMechanisms: 'a host with the PIN can use a key with other mechanisms of the same kind.',
};

export function otherRisks({ serial }: Pick<SlotReport, 'serial'>): string[] {
  return /[^0 ]/.test(serial)
    ? []
    : [`serial: the serial number “${serial}” names no token, so nobody can tell one from another, and a fleet takes only one like it.`];
}

/** What is no risk and has to be known. */
export const notes = ({ keystore, verify }: Profile): string[] => [
  ...(keystore === 'host-blob'
    ? [
        'token keys are encrypted files on the host, and whoever copied them, and has what they are encrypted under, has the keys again. ' +
          'Destroying a set of keys takes every copy of those files, in backups too; or the key that all are encrypted under: the world’s or master key, or the PIN.',
      ]
    : []),
  ...(verify === 'host' ? ['the host verifies proofs of the code; who decides to derive is the host in any case.'] : []),
];
