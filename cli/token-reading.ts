import type { Provisioned } from '../daemon/token/keys/provision.ts';
import type { TokenReading } from '../fleet/produce/token-reading.ts';
import { toHex } from '../primitives/bytes.ts';

/** A replica's keys in the words of the fleet statement. */
export function tokenReading({ identity, keys, mechanisms }: Provisioned): TokenReading {
  const { oprfKey, releaseKey, receiptKey, keySets: _notStated, ...token } = identity;
  return {
    oprf_key: toHex(oprfKey),
    release_key: toHex(releaseKey),
    receipt_key: toHex(receiptKey),
    token,
    mechanisms: mechanisms.map((mechanism) => `0x${mechanism.toString(16)}`),
    key_attributes: Object.fromEntries(
      keys.map(({ name, label, attributes, allowedMechanisms }) => [
        name,
        { label, ...attributes, allowedMechanisms: allowedMechanisms.join(' ') },
      ]),
    ),
  };
}
