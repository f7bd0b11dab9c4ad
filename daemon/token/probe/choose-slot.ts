import { VaultError } from '../../../primitives/errors.ts';
import type { SlotReport } from '../pkcs11/inspect.ts';

export interface Choice {
  /** Both may be left out where only one token is initialised. */
  readonly label?: string | undefined;
  readonly slot?: bigint | undefined;
}

/** The one token that is meant. Throws TOKEN_MISSING. */
export function chooseSlot(slots: readonly SlotReport[], { label, slot }: Choice): SlotReport {
  const initialised = slots.filter((report) => report.initialised && report.hasPin);
  const matching = initialised.filter(
    (report) => (label === undefined || report.label === label) && (slot === undefined || report.id === slot),
  );
  const [found, ...others] = matching;
  if (found !== undefined && others.length === 0) return found;
  const list = initialised.map(({ id, label: name }) => `${name} (slot ${id})`).join(', ') || 'none';
  throw new VaultError('TOKEN_MISSING', `${found === undefined ? 'No initialised token fits' : 'Several tokens fit'}; there is: ${list}.`);
}
