// The zero of each script whose decimal digits a keyboard may type. Written out, because the Unicode property would let two
// devices with different Unicode versions derive different keys from the same code.
const zeros = [
  0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xed0, 0xf20, 0x1040, 0x17e0, 0x1810,
];

// Space, tab, full stop, hyphens and dashes, minus, and the direction marks that come along when digits are copied out of a text.
const separator = /^[ \t.\-\u2010-\u2015\u2212\u200e\u200f\u061c]$/;

/**
 * The one form of a code that keys are derived from, fixed by the protocol version:
 *
 * 1. Unicode NFKC, then `String.prototype.trim`.
 * 2. If what is left consists of decimal digits of the scripts above, at least one, and of separators, then each digit becomes
 *    its ASCII digit and the separators go: "123-456 789" and "١٢٣٤٥٦٧٨٩" are "123456789".
 * 3. Anything else stays as it is: case and inner spaces count.
 */
export function normaliseCode(code: string): string {
  const text = code.normalize('NFKC').trim();
  let digits = '';
  for (const character of text) {
    const digit = digitOf(character);
    if (digit !== undefined) digits += digit;
    else if (!separator.test(character)) return text;
  }
  return digits === '' ? text : digits;
}

function digitOf(character: string): number | undefined {
  const point = character.codePointAt(0) as number;
  const zero = zeros.find((candidate) => point >= candidate && point <= candidate + 9);
  return zero === undefined ? undefined : point - zero;
}
