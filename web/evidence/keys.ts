import { type Anchors, fingerprints } from '../../fleet/verify/anchors.ts';
import type { EvidenceReport } from '../../fleet/verify/evidence.ts';
import { hashWords } from '../../fleet/verify/words.ts';
import { toHex } from '../../primitives/bytes.ts';
import { card, element, hexList, section, wordList } from './element.ts';

/** Whose word all of it rests on: to be compared with what the visitor knows from elsewhere. */
export function renderAnchors(anchors: Anchors): HTMLElement {
  return section(
    'Whose word is it?',
    'Everything above rests on the keys below. Whoever invents evidence invents these, too: compare them with what operator and witness publish elsewhere, in print or aloud.',
    element(
      'div',
      { class: 'columns' },
      ...fingerprints(anchors).map(({ name, sha256 }) => card(sentence(name), element('p', { class: 'hex' }, sha256), words(sha256))),
    ),
  );
}

/** The fleet's keys as the statement has them. */
export function renderKeys({ statement, tokens, bundle }: EvidenceReport): HTMLElement | undefined {
  if (!statement) return undefined;
  const hash = toHex(statement.hash);
  return section(
    'The keys',
    'An app that trusts this fleet talks to these keys and to no others. The words stand for the whole statement: read them aloud to compare.',
    element(
      'div',
      { class: 'card', id: 'statement-hash' },
      element('h3', {}, 'Fingerprint of the statement'),
      element('p', { class: 'hex' }, hash),
      wordList(hashWords(hash)),
      bundle &&
        element(
          'p',
          { class: 'meta' },
          `Entry ${bundle.index} of the log ${bundle.checkpoint.origin}, which then had ${bundle.checkpoint.size}.`,
        ),
    ),
    element('h3', {}, `${statement.replicas.length} replicas`),
    element(
      'div',
      { class: 'columns thirds' },
      ...statement.document.replicas.map(({ name, operator, token, oprf_key, release_key, receipt_key }, i) =>
        card(
          name,
          element('p', { class: 'meta' }, `Run by ${operator}`),
          element('p', { class: 'meta' }, `${token.manufacturer} ${token.model}, serial ${token.serial}, firmware ${token.firmware}`),
          hexList({ 'OPRF key': oprf_key, 'Release key': release_key, 'Receipt key': receipt_key }),
          tokens?.[i] && element('p', { class: 'meta' }, `The token lists ${tokens[i].mechanisms.length} mechanisms.`),
        ),
      ),
    ),
  );
}

/** Words of a hash behind a click: seven times 24 words would bury the page. */
const words = (sha256: string): HTMLElement => element('details', {}, element('summary', {}, 'As words'), wordList(hashWords(sha256)));

const sentence = (text: string): string => `${text[0]?.toUpperCase()}${text.slice(1)}`;
