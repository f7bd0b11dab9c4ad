import type { CheckCode } from '../../fleet/verify/check-codes.ts';
import type { EvidenceReport } from '../../fleet/verify/evidence.ts';
import type { Statement } from '../../protocol/statement.ts';
import { day, element, mark } from './element.ts';

/** Headline and verdict: the story in three sentences. */
export function renderVerdict(report: EvidenceReport): DocumentFragment {
  const { statement, plan, checks, verdict, participants } = report;
  const failed = checks.filter(({ code }) => code !== null);
  const skipped = checks.filter(({ ok, code }) => !ok && code === null);
  const good = verdict !== 'refused';
  const fragment = document.createDocumentFragment();
  fragment.append(
    element(
      'header',
      { class: 'masthead' },
      element('strong', {}, 'Backup key vault: evidence of deployment'),
      element('span', {}, statement ? `Fleet ${statement.fleet}, epoch ${statement.epoch}` : 'An unreadable fleet'),
    ),
    element('h1', {}, headline(report)),
    element('p', { class: 'standfirst' }, standfirst(report)),
    element(
      'div',
      { class: `verdict ${good ? 'holds' : 'refused'}`, role: 'status', 'data-verdict': verdict },
      mark(good ? 'good' : 'bad', good ? 'All checks hold' : 'Checks fail', 'seal'),
      element(
        'p',
        {},
        element(
          'span',
          { class: 'sum' },
          good
            ? `All ${checks.length} checks hold. `
            : `${failed.length} of ${checks.length} checks ${failed.length === 1 ? 'fails' : 'fail'}. `,
        ),
        good
          ? 'Whether the authorities below are the right ones is for you to compare: this page cannot know.'
          : `${failed[0]?.detail ?? ''}${skipped.length > 0 ? ` ${skipped.length} more could not be checked because of that.` : ''}`,
      ),
    ),
  );
  if (statement) fragment.append(renderFigures(report, statement));
  if (plan?.purpose === 'rehearsal')
    fragment.append(
      element(
        'p',
        { class: 'notice' },
        element('strong', {}, 'This was a rehearsal. '),
        'The plan says so itself. Its tokens may be software, which keeps nothing from whoever runs the machine.',
      ),
    );
  const exceptions = participants?.filter((one) => one.exceptions.length > 0) ?? [];
  if (exceptions.length > 0)
    fragment.append(
      element(
        'div',
        { class: 'notice' },
        element('strong', {}, 'Not everything went as planned. '),
        'Who took part put on record:',
        ...exceptions.flatMap((one) => one.exceptions.map((text) => element('blockquote', {}, `${text} (${one.name})`))),
      ),
    );
  return fragment;
}

function renderFigures({ checks, participants, transcript }: EvidenceReport, { threshold, replicas }: Statement): HTMLElement {
  const figures: [number | undefined, string][] = [
    [replicas.length, 'machines, each with a security module'],
    [threshold, 'of them must agree on every attempt'],
    [checks.length, 'checks made in your browser'],
    [participants?.length, 'people or parties signed'],
    [transcript?.lines.length, 'lines of transcript'],
  ];
  const known = figures.filter(([figure]) => figure !== undefined);
  return element('ul', { class: 'figures' }, ...known.map(([figure, what]) => element('li', {}, element('b', {}, String(figure)), what)));
}

/** What fails because time went on, and not because anything is wrong with the evidence. */
const overInTime: readonly CheckCode[] = ['certificate-expired', 'checkpoint-stale', 'statement-not-in-force', 'statement-superseded'];

function headline({ verdict, statement, checks }: EvidenceReport): string {
  const fleet = statement ? `“${statement.fleet}”` : 'this fleet';
  if (verdict !== 'refused') return `The keys of ${fleet} are what its operator and its witness say they are`;
  const onlyTime = checks.every(({ code }) => code === null || overInTime.includes(code));
  return onlyTime ? `The evidence for ${fleet} has run out` : `The evidence for ${fleet} does not hold`;
}

function standfirst({ statement, participants }: EvidenceReport): string {
  if (!statement)
    return 'A vault keeps the keys of people’s backups in several machines, so that no one can open them alone. What this page holds is no readable statement about such a vault.';
  const { threshold, replicas, document } = statement;
  const people = participants ? `; the ${participants.length} who took part signed what happened` : '';
  return (
    `A vault keeps the keys of people’s backups in ${replicas.length} machines, of which ${threshold} must agree on every attempt to open one. ` +
    `This is the record of how their own keys were made, for ${day(document.not_before)} to ${day(document.not_after)}${people}.`
  );
}
