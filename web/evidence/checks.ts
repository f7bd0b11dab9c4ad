import type { Check } from '../../fleet/verify/checks.ts';
import { element, mark, section } from './element.ts';

// In which part of the story each check belongs. A check that nobody assigned is shown under the last heading, not lost.
const parts: readonly { readonly title: string; readonly names: readonly string[] }[] = [
  { title: 'The statement', names: ['statement', 'previous', 'evidence', 'as-planned'] },
  { title: 'The ceremony', names: ['manifest', 'plan', 'transcript', 'as-told', 'participants', 'agreement'] },
  { title: 'The hardware', names: ['token-keys', 'tokens', 'attributes'] },
  {
    title: 'The signatures',
    names: ['anchors', 'signed', 'layers', 'operator', 'witness', 'signed-statement', 'in-force', 'operators', 'epoch', 'same-statement'],
  },
  { title: 'The public log', names: ['log-proof', 'checkpoint', 'newest', 'inclusion', 'history', 'put-in-force', 'in-force-logged'] },
];

export function renderChecks(checks: readonly Check[]): HTMLElement {
  const known = new Set(parts.flatMap(({ names }) => names));
  const groups = parts.map(({ title, names }) => ({ title, members: checks.filter(({ name }) => names.includes(name)) }));
  const others = { title: 'More', members: checks.filter(({ name }) => !known.has(name)) };
  return section(
    'What was checked',
    'Each line is a promise that was tested just now, in your browser. Nothing was sent anywhere.',
    element(
      'div',
      { class: 'check-groups' },
      ...[...groups, others]
        .filter(({ members }) => members.length > 0)
        .map(({ title, members }) => element('div', {}, element('h3', {}, title), renderList(members))),
    ),
  );
}

export const renderList = (checks: readonly Check[]): HTMLElement => element('ul', { class: 'checks' }, ...checks.map(renderCheck));

function renderCheck({ name, title, ok, detail, code }: Check): HTMLElement {
  const [kind, meaning] = ok
    ? (['good', 'Holds'] as const)
    : code === null
      ? (['idle', 'Not checked'] as const)
      : (['bad', 'Fails'] as const);
  return element(
    'li',
    { class: `${kind}-row`, 'data-check': name, 'data-state': kind, ...(code === null ? {} : { 'data-code': code }) },
    mark(kind, meaning, 'icon'),
    element('span', { class: 'title' }, title),
    element('p', { class: 'detail' }, detail, code !== null && ' ', code !== null && element('span', { class: 'code' }, `[${code}]`)),
  );
}
