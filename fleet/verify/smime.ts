import { toBase64 } from '../../primitives/base64.ts';
import type { Bytes } from '../../primitives/bytes.ts';
import { refuse, refusing } from './checks.ts';

const HEADER = [
  'MIME-Version: 1.0',
  'Content-Disposition: attachment; filename="smime.p7m"',
  'Content-Type: application/pkcs7-mime; smime-type=signed-data; name="smime.p7m"',
  'Content-Transfer-Encoding: base64',
  '',
  '',
].join('\n');

/**
 * The DER inside opaque S/MIME (RFC 8551 §3.5.2) of the one form that this fleet writes: these headers, LF, base64 in lines of 64.
 * Throws bundle-malformed. Strict by re-encoding, so that no second message can hide in headers, blanks or padding.
 */
export function parseSmime(bytes: Uint8Array): Bytes {
  const text = new TextDecoder('latin1').decode(bytes); // what is not ASCII is refused below
  if (!text.startsWith(HEADER)) throw refuse('bundle-malformed', 'The message does not have exactly the S/MIME headers of a bundle.');
  const body = text.slice(HEADER.length);
  const der = refusing('bundle-malformed', 'The message is not base64.', () =>
    Uint8Array.from(atob(body.replaceAll('\n', '')), (character) => character.charCodeAt(0)),
  );
  if (formatSmime(der) !== text) throw refuse('bundle-malformed', 'The message is not base64 in lines of 64 characters and nothing else.');
  return der;
}

/** The inverse. fleet/produce has its own: what verifies shares no code with what produces. */
function formatSmime(der: Uint8Array): string {
  const lines = toBase64(der).match(/.{1,64}/g) ?? [];
  return `${HEADER}${lines.join('\n')}\n`;
}
