// What a guesser tries first. The vault allows ten guesses or so: six digits are enough if they are not among the first ten.
// The rules stay few enough to be told to a user.

const LEAST_DIGITS = 6;
const LEAST_CHARACTERS = 8;

const rows = ['abcdefghijklmnopqrstuvwxyz', 'qwertyuiop', 'qwertzuiop', 'azertyuiop', 'asdfghjkl', 'zxcvbnm', '01234567890'];
const words = new Set([
  'password',
  'passwort',
  'motdepasse',
  'contraseña',
  'iloveyou',
  'letmein',
  'welcome',
  'football',
  'baseball',
  'princess',
  'sunshine',
]);

/** Why a code in its normal form is too weak to choose, or undefined. */
export function weaknessOf(code: string): string | undefined {
  return /^\d+$/.test(code) ? weaknessOfDigits(code) : weaknessOfText(code.toLowerCase());
}

function weaknessOfDigits(code: string): string | undefined {
  if (code.length < LEAST_DIGITS) return `it has fewer than ${LEAST_DIGITS} digits`;
  if (new Set(code).size < 3) return 'it has only one or two different digits';
  if (isRepeated(code)) return 'it repeats one group of digits';
  if (code === reverse(code)) return 'its second half mirrors the first';
  if (isProgression(code) || isProgression(withoutRuns(code))) return 'its digits are a sequence';
  if (isDate(code)) return 'it can be read as a date';
  return undefined;
}

function weaknessOfText(code: string): string | undefined {
  const characters = [...code];
  if (characters.length < LEAST_CHARACTERS) return `it has fewer than ${LEAST_CHARACTERS} characters`;
  if (new Set(characters).size < 5) return 'it has fewer than five different characters';
  if (isRepeated(code)) return 'it repeats one group of characters';
  if (rows.some((row) => row.includes(code) || reverse(row).includes(code))) return 'its characters are a sequence';
  if (words.has(code.replace(/[^\p{L}]+$/u, ''))) return 'it is one of the most common passwords';
  return undefined;
}

const reverse = (text: string) => [...text].reverse().join('');
const isRepeated = (text: string) => /^(.+)\1+$/su.test(text);

/** 112233 becomes 123. */
const withoutRuns = (digits: string) => digits.replace(/(.)\1+/g, '$1');

/** Each digit is as far from the one before, modulo 10: 123456, 987654, 135791, 890123. */
function isProgression(digits: string): boolean {
  const steps = new Set([...digits].slice(1).map((digit, i) => (Number(digit) - Number(digits[i]) + 10) % 10));
  return digits.length >= 3 && steps.size === 1;
}

/** Day, month and year of two or four digits, in any of the three orders that people write. */
function isDate(digits: string): boolean {
  const part = (from: number, length: number) => Number(digits.slice(from, from + length));
  const isDay = (day: number, month: number) => month >= 1 && month <= 12 && day >= 1 && day <= 31;
  const century = digits.length === 8 ? 2 : digits.length === 6 ? 0 : undefined;
  if (century === undefined) return false;
  const isYear = (from: number) => century === 0 || (part(from, 4) >= 1900 && part(from, 4) < 2100);
  const [a, b] = [part(0, 2), part(2, 2)];
  const [c, d] = [part(2 + century, 2), part(4 + century, 2)];
  return (isYear(4) && (isDay(a, b) || isDay(b, a))) || (isYear(0) && isDay(d, c));
}
