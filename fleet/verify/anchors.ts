import { formatNoteKey } from '../log/note-key.ts';
import { type LogPolicy, type LogTrust, parseLogTrust } from '../log/policy.ts';
import { parseCertificate } from './certificate.ts';
import { refuse, refusingMalformed } from './checks.ts';
import { decodeText, type EvidenceFiles, hexHash, need } from './files.ts';
import type { Authorities } from './layers.ts';

/** What a verifier knows of operator, witness and log from elsewhere: the files of a directory of anchors. */
export interface Anchors {
  readonly authorities: Authorities;
  readonly log: LogTrust;
}

/** How strict the verifier is about the log and about the fleet. */
export interface Strictness extends Omit<LogPolicy, keyof LogTrust> {
  /** Any t replicas must be of so many different operators. 1 demands nothing. */
  readonly operatorsLeast: number;
}

export const anchorFiles = ['operator-ca.pem', 'witness-ca.pem', 'log-policy.txt'] as const;

/** Reads anchors from files named as in `anchors/` of evidence. Throws anchors-differ naming the file that is wrong. */
export function readAnchors(files: EvidenceFiles, folder: string): Anchors {
  const file = (name: (typeof anchorFiles)[number]) => need(files, `${folder}${name}`);
  const text = (name: (typeof anchorFiles)[number]) => decodeText(file(name), 'anchors-differ', `The file ${name}`);
  return {
    authorities: { operator: parseCertificate(text('operator-ca.pem')), witness: parseCertificate(text('witness-ca.pem')) },
    log: refusingMalformed('anchors-differ', () => parseLogTrust(file('log-policy.txt'))),
  };
}

/** Names and SHA-256 fingerprints, to compare with what is known from elsewhere. */
export function fingerprints({ authorities, log }: Anchors): { readonly name: string; readonly sha256: string }[] {
  return [
    { name: 'operator’s authority', sha256: hexHash(authorities.operator.der) },
    { name: 'witness’s authority', sha256: hexHash(authorities.witness.der) },
    { name: `log ${log.logKey.name}`, sha256: hexHash(log.logKey.publicKey) },
    ...log.cosigners.map(({ name, publicKey }) => ({ name: `cosigner ${name}`, sha256: hexHash(publicKey) })),
  ];
}

/** The same keys; which of them must have signed is for each to say. Throws anchors-differ. */
export function expectSameAnchors(own: Anchors, known: Anchors): string {
  const same = (a: Uint8Array, b: Uint8Array) => hexHash(a) === hexHash(b);
  if (!same(own.authorities.operator.der, known.authorities.operator.der)) throw differ('operator’s authority');
  if (!same(own.authorities.witness.der, known.authorities.witness.der)) throw differ('witness’s authority');
  if (formatNoteKey(own.log.logKey) !== formatNoteKey(known.log.logKey)) throw differ('log’s key');
  const cosigners = ({ log }: Anchors) => log.cosigners.map(formatNoteKey).sort().join('\n');
  if (cosigners(own) !== cosigners(known))
    throw refuse('anchors-differ', 'The cosigners in the evidence are not those known from elsewhere.');
  return 'Authorities, log key and cosigners are those known from elsewhere.';
}

const differ = (what: string) => refuse('anchors-differ', `The ${what} in the evidence is not the one known from elsewhere.`);
