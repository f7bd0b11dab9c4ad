type Child = Node | string | undefined | false;

/** An element. What evidence says goes in as text, never as markup: it may come from anybody. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  for (const child of children) if (child) made.append(child);
  return made;
}

const NAMESPACE = 'http://www.w3.org/2000/svg';

const shapes = {
  good: 'M5 12.5l4.5 4.5L19 7.5',
  bad: 'M6.5 6.5l11 11m0-11l-11 11',
  idle: 'M6 12h12',
} as const;

export type Mark = keyof typeof shapes;

/** A round mark whose meaning is told in words, too: colour alone tells nothing to many. */
export function mark(kind: Mark, meaning: string, className: string): SVGSVGElement {
  const svg = document.createElementNS(NAMESPACE, 'svg');
  for (const [name, value] of Object.entries({ viewBox: '0 0 24 24', class: `${className} ${kind}`, role: 'img', 'aria-label': meaning }))
    svg.setAttribute(name, value);
  const circle = document.createElementNS(NAMESPACE, 'circle');
  for (const [name, value] of Object.entries({ cx: '12', cy: '12', r: '12', fill: 'currentColor' })) circle.setAttribute(name, value);
  const path = document.createElementNS(NAMESPACE, 'path');
  for (const [name, value] of Object.entries({
    d: shapes[kind],
    fill: 'none',
    stroke: 'var(--paper)',
    'stroke-width': '2.6',
    'stroke-linecap': 'round',
    'stroke-linejoin': 'round',
  }))
    path.setAttribute(name, value);
  svg.append(circle, path);
  return svg;
}

/** The 24 words of a hash, numbered, to be read aloud. */
export const wordList = (words: string): HTMLElement =>
  element('ol', { class: 'words' }, ...words.split(' ').map((word) => element('li', {}, word)));

/** A section with a heading and a sentence that says why it is there. */
export const section = (title: string, why: string, ...content: readonly Child[]): HTMLElement =>
  element('section', {}, element('h2', {}, title), element('p', {}, why), ...content);

/** A part of a section, with a heading of its own. */
export const card = (title: string, ...content: readonly Child[]): HTMLElement =>
  element('div', { class: 'card' }, element('h3', {}, title), ...content);

/** Keys or hashes, each under its name. */
export const hexList = (values: Readonly<Record<string, string>>): HTMLElement =>
  element('dl', {}, ...Object.entries(values).flatMap(([name, hex]) => [element('dt', {}, name), element('dd', { class: 'hex' }, hex)]));

const date = new Intl.DateTimeFormat('en', { dateStyle: 'long', timeZone: 'UTC' });
const time = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'medium', timeZone: 'UTC', hour12: false });

export const day = (iso: string | number): string => date.format(new Date(iso));
export const moment = (iso: string): string => time.format(new Date(iso));
