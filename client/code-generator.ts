// A generated code is 16 random digits and the two check digits of ISO/IEC 7064 MOD 97-10 (those of an IBAN), which tell every
// single wrong digit and every swap of two neighbours. 53 bits; digits, because every keyboard in the world has them.

const RANDOM_DIGITS = 16;
export const GENERATED_LENGTH = RANDOM_DIGITS + 2;

/** In six groups of three digits, "482 915 …", for people to write down. */
export function generateCode(): string {
  const digits = Array.from({ length: RANDOM_DIGITS }, randomDigit).join('');
  const check = 98n - ((BigInt(digits) * 100n) % 97n); // ISO/IEC 7064 §7: the whole is 1 modulo 97
  return `${digits}${String(check).padStart(2, '0')}`.replace(/\d{3}(?=\d)/g, '$& ');
}

/** Of 18 digits. */
export const hasRightCheckDigits = (digits: string): boolean => BigInt(digits) % 97n === 1n;

function randomDigit(): number {
  for (;;) {
    const byte = crypto.getRandomValues(new Uint8Array(1))[0] as number;
    if (byte < 250) return byte % 10; // 250 to 255 would make 0 to 5 likelier
  }
}
