import type { EvidenceReport } from '../../fleet/verify/evidence.ts';
import type { TranscriptLine } from '../../fleet/verify/transcript.ts';
import { card, element, hexList, moment, section } from './element.ts';

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
        card(
          name,
          element('p', { class: 'meta' }, roles[role] ?? role),
          element(
            'p',
            { class: verdict === 'agree' ? 'good' : 'bad' },
            verdict === 'agree' ? 'Agrees' : 'Does not agree',
            `, ${moment(at)} UTC`,
          ),
          ...exceptions.map((text) => element('blockquote', {}, text)),
          hexList({ Key: fingerprint }),
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
  const replica = say(data.replica ?? '');
  switch (event) {
    case 'ceremony-begun':
      return `The ceremony begins: a ${say(data.purpose)} for fleet ${say(data.fleet)}, epoch ${say(data.epoch)}.`;
    case 'previous-statement':
      return `It follows the statement of epoch ${say(data.epoch)}.`;
    case 'participants-named':
      return `The participants are named, with their keys: ${names(data.participants)}.`;
    case 'software-named':
      return `The software is version ${say(data.version)}, ${say(data.digest)}.`;
    case 'token-read':
      return `${replica}: the token says that it is ${say(data.manufacturer)} ${say(data.model)}, serial ${say(data.serial)}.`;
    case 'keys-made':
      return `${replica}: keys are made in the token.`;
    case 'keys-kept':
      return `${replica}: the keys that the token held before are kept.`;
    case 'keys-rotated':
      return `${replica}: new keys are made in the token, beside those that it held before. The key of its receipts is kept.`;
    case 'attributes-read':
      return `${replica}: the attributes of every key are read back.`;
    case 'attestation': {
      const files = Object.keys((data.files ?? {}) as object);
      return `${replica}: ${files.length > 0 ? `the vendor’s attestation is added (${files.length} files).` : `no attestation. ${say(data.none)}`}`;
    }
    case 'deployment-described':
      return `The deployment is described: ${say(data.replicas)} replicas, threshold ${say(data.threshold)}.`;
    default:
      return `${event}: ${JSON.stringify(data)}`;
  }
}

/** A transcript may hold any JSON in any place; an object may even bring a `toString` that is none. */
const say = (value: unknown): string => (typeof value === 'string' || typeof value === 'number' ? String(value) : JSON.stringify(value));

const names = (participants: unknown): string =>
  Array.isArray(participants) ? participants.map((one: { name?: unknown }) => say(one?.name)).join(', ') : '';
