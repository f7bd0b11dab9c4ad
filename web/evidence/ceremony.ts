import type { EvidenceReport } from '../../fleet/verify/evidence.ts';
import type { TranscriptLine } from '../../fleet/verify/transcript.ts';
import { element, moment, section } from './element.ts';

const roles: Readonly<Record<string, string>> = {
  operator: 'Operator: runs the fleet',
  custodian: 'Custodian: holds a token, or its PIN',
  witness: 'Witness: independent, signs and keeps the public log',
  auditor: 'Auditor: watched',
};

/** Who took part and what each signed: a disagreement or an exception is to be seen. */
export function renderParticipants({ participants }: EvidenceReport): HTMLElement | undefined {
  if (!participants) return undefined;
  return section(
    'Who took part',
    'Each signed the statement and the whole transcript, with a key that the plan had named before.',
    element(
      'div',
      { class: 'columns' },
      ...participants.map(({ name, role, verdict, exceptions, at, fingerprint }) =>
        element(
          'div',
          { class: 'card' },
          element('h3', {}, name),
          element('p', { class: 'meta' }, roles[role] ?? role),
          element(
            'p',
            { class: verdict === 'agree' ? 'good' : 'bad' },
            verdict === 'agree' ? 'Agrees' : 'Does not agree',
            `, ${moment(at)} UTC`,
          ),
          ...exceptions.map((text) => element('blockquote', {}, text)),
          element('dl', {}, element('dt', {}, 'Key'), element('dd', { class: 'hex' }, fingerprint)),
        ),
      ),
    ),
  );
}

export function renderTranscript({ transcript }: EvidenceReport): HTMLElement | undefined {
  if (!transcript) return undefined;
  return section(
    'What happened',
    'The transcript, line by line. Each line carries the hash of the one before: none can be changed or left out afterwards. Times are UTC.',
    element(
      'ol',
      { class: 'timeline' },
      ...transcript.lines.map((line) =>
        element('li', {}, element('time', { datetime: line.at }, moment(line.at)), element('span', {}, tell(line))),
      ),
    ),
  );
}

function tell({ event, data }: TranscriptLine): string {
  const replica = String(data.replica ?? '');
  switch (event) {
    case 'ceremony-begun':
      return `The ceremony begins: a ${data.purpose} for fleet ${data.fleet}, epoch ${data.epoch}.`;
    case 'previous-statement':
      return `It follows the statement of epoch ${data.epoch}.`;
    case 'participants-named':
      return `The participants are named, with their keys: ${names(data.participants)}.`;
    case 'software-named':
      return `The software is version ${data.version}, ${data.digest}.`;
    case 'token-read':
      return `${replica}: the token says that it is ${data.manufacturer} ${data.model}, serial ${data.serial}.`;
    case 'keys-made':
      return `${replica}: keys are made in the token.`;
    case 'keys-kept':
      return `${replica}: the keys that the token held before are kept.`;
    case 'attributes-read':
      return `${replica}: the attributes of every key are read back.`;
    case 'attestation': {
      const files = Object.keys((data.files ?? {}) as object);
      return `${replica}: ${files.length > 0 ? `the vendor’s attestation is added (${files.length} files).` : `no attestation. ${data.none}`}`;
    }
    case 'deployment-described':
      return `The deployment is described: ${data.replicas} replicas, threshold ${data.threshold}.`;
    default:
      return `${event}: ${JSON.stringify(data)}`;
  }
}

const names = (participants: unknown): string =>
  Array.isArray(participants) ? participants.map((one: { name?: unknown }) => String(one?.name)).join(', ') : '';
