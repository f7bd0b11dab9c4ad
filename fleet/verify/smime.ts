import type { Bytes } from '../../primitives/bytes.ts';
import { refuse } from './checks.ts';

const HEADER = [
  'MIME-Version: 1.0',
  'Content-Disposition: attachment; filename="smime.p7m"',
  'Content-Type: application/pkcs7-mime; smime-type=signed-data; name="smime.p7m"',
  'Content-Transfer-Encoding: base64',
  '',
  '',
].join('\n');

const LINE = 64;

/**
 * The DER inside opaque S/MIME (RFC 8551 §3.5.2) of the one form that this fleet writes: these headers, LF, base64 in lines of 64.
 * Throws bundle-malformed. Strict by re-encoding, so that no second message can hide in headers, blanks or padding.
 */
export function parseSmime(bytes: Uint8Array): Bytes {
  const text = latin1(bytes);
  if (!text.startsWith(HEADER)) throw refuse('bundle-malformed', 'The message does not have exactly the S/MIME headers of a bundle.');
  const body = text.slice(HEADER.length);
  const der = decodeBase64(body.replaceAll('\n', ''));
  if (formatSmime(der) !== text) throw refuse('bundle-malformed', 'The message is not base64 in lines of 64 characters and nothing else.');
  return der;
}

/** The inverse. fleet/produce has its own: what verifies shares no code with what produces. */
function formatSmime(der: Uint8Array): string {
  const base64 = btoa(latin1(der));
  const lines = base64.match(new RegExp(`.{1,${LINE}}`, 'g')) ?? [];
  return `${HEADER}${lines.join('\n')}\n`;
}

function decodeBase64(text: string): Bytes {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch (cause) {
    throw refuse('bundle-malformed', 'The message is not base64.', cause);
  }
}

/** One character for each byte. */
function latin1(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return text;
}
