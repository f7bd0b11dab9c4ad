import type { Anchors } from '../../fleet/verify/anchors.ts';
import { hashWords } from '../../fleet/verify/words.ts';
import { toHex } from '../../primitives/bytes.ts';
import type { Statement } from '../../protocol/statement.ts';
import { renderList } from './checks.ts';
import { type Comparison, compare, type Row } from './compare.ts';
import { card, element, section, wordList } from './element.ts';

/** Where a visitor drops the bundle that an app received, to see it side by side with the evidence. It stays in the browser. */
export function renderDrop(statement: Statement, anchors: Anchors): HTMLElement {
  const input = element('input', { type: 'file', id: 'bundle', 'aria-describedby': 'drop-note' });
  const target = element(
    'label',
    { class: 'drop', for: 'bundle' },
    element('strong', {}, 'Drop a bundle here, or choose a file'),
    element('small', { id: 'drop-note' }, 'validation-bundle.txt as an app received it, or a statement.json. It stays in your browser.'),
    input,
  );
  const result = element('div', { 'aria-live': 'polite', id: 'comparison' });
  let asked = 0; // a file dropped later may be read sooner
  const take = async (file: File | undefined) => {
    if (!file) return;
    const mine = ++asked;
    result.replaceChildren();
    let shown: HTMLElement[];
    try {
      const comparison = compare(new Uint8Array(await file.arrayBuffer()), statement, anchors, Date.now());
      shown = renderComparison(file.name, comparison, statement);
    } catch (error) {
      const why = `${file.name} cannot be compared: ${error instanceof Error ? error.message : 'nobody knows why'}.`;
      shown = [element('p', { class: 'verdict refused', 'data-comparison': 'differs' }, why)];
    }
    if (mine === asked) result.replaceChildren(...shown);
  };
  input.addEventListener('change', () => void take(input.files?.[0]));
  for (const event of ['dragenter', 'dragover'])
    target.addEventListener(event, (dragged) => {
      dragged.preventDefault();
      target.classList.add('over');
    });
  for (const event of ['dragleave', 'drop']) target.addEventListener(event, () => target.classList.remove('over'));
  target.addEventListener('drop', (dropped) => {
    dropped.preventDefault();
    void take(dropped.dataTransfer?.files[0]);
  });
  const part = section(
    'Is it what your app was given?',
    'An app keeps the bundle that it trusted. Drop it here, and see its keys beside those of this evidence.',
    target,
    result,
  );
  part.classList.add('compare-part');
  return part;
}

function renderComparison(name: string, { checks, rows }: Comparison, statement: Statement): HTMLElement[] {
  const differing = rows.filter(({ here, there }) => here !== there).length;
  const same = rows.length > 0 && differing === 0 && checks.every(({ ok }) => ok);
  const verdict =
    rows.length === 0
      ? 'No statement can be read from it.'
      : differing === 0
        ? 'The same keys.'
        : `${differing} of ${rows.length} lines differ.`;
  return [
    element('p', { class: `verdict ${same ? 'holds' : 'refused'}`, 'data-comparison': same ? 'same' : 'differs' }, `${name}: ${verdict}`),
    renderList(checks),
    ...(rows.length > 0 ? [renderTable(rows), renderWords(rows[0] as Row, statement)] : []),
  ];
}

function renderTable(rows: readonly Row[]): HTMLElement {
  const head = ['', 'In this evidence', 'In the dropped file', ''].map((text) => element('th', { scope: 'col' }, text));
  return element(
    'table',
    { class: 'compare' },
    element('caption', {}, 'Side by side'),
    element('thead', {}, element('tr', {}, ...head)),
    element('tbody', {}, ...rows.map(renderRow)),
  );
}

function renderRow({ what, here, there }: Row): HTMLElement {
  const same = here === there;
  return element(
    'tr',
    { class: same ? 'same' : 'differs' },
    element('th', { scope: 'row' }, what),
    element('td', { class: 'hex', 'data-label': 'In this evidence' }, here),
    element('td', { class: 'hex', 'data-label': 'In the dropped file' }, there),
    element('td', { class: `same-mark ${same ? 'good' : 'bad'}` }, same ? '✓ same' : '✗ differs'),
  );
}

function renderWords({ there }: Row, statement: Statement): HTMLElement {
  return element(
    'div',
    { class: 'columns' },
    card('Words of this evidence’s statement', wordList(hashWords(toHex(statement.hash)))),
    card('Words of the dropped statement', wordList(hashWords(there))),
  );
}
