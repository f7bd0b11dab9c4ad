import { verifyEvidence } from '../../fleet/verify/evidence.ts';
import type { EvidenceFiles } from '../../fleet/verify/files.ts';
import { renderParticipants, renderTranscript } from './ceremony.ts';
import { renderChecks } from './checks.ts';
import { renderDrop } from './drop.ts';
import { element } from './element.ts';
import { renderAnchors, renderKeys } from './keys.ts';
import { renderVerdict } from './verdict.ts';

// The page as a whole. It holds the evidence, verifies it with the code that the apps and bkvctl use, and asks no network.

// Evidence is a record that is read for as long as the statement is in force. Apps, which meet the log all the time, are stricter.
const STRICTNESS = { checkpointAgeMost: 366 * 24 * 3600 * 1000, operatorsLeast: 1 };

const page = document.getElementById('page') as HTMLElement;
const files = embeddedFiles();
page.replaceChildren(...(files ? renderSafely(files) : [withoutEvidence()]));

/** The evidence in this page, or undefined where the page holds none or holds something else. */
function embeddedFiles(): EvidenceFiles | undefined {
  try {
    const json: unknown = JSON.parse(document.getElementById('evidence')?.textContent ?? 'null');
    if (typeof json !== 'object' || json === null) return undefined;
    return new Map(
      Object.entries(json).map(([name, base64]) => [name, Uint8Array.from(atob(String(base64)), (character) => character.charCodeAt(0))]),
    );
  } catch {
    return undefined;
  }
}

/** Whatever goes wrong is shown: a blank page says nothing, and half a page too much. */
function renderSafely(evidence: EvidenceFiles): Node[] {
  try {
    return render(evidence);
  } catch (error) {
    document.title = 'Refused: evidence that cannot be shown';
    const why = `This evidence cannot be verified here: ${error instanceof Error ? error.message : 'nobody knows why'}.`;
    return [element('p', { class: 'verdict refused', role: 'status', 'data-verdict': 'refused' }, why), footer()];
  }
}

function render(evidence: EvidenceFiles): Node[] {
  const report = verifyEvidence(evidence, { anchors: undefined, ...STRICTNESS }, Date.now());
  const { statement, anchors } = report;
  document.title = `${report.verdict === 'refused' ? 'Refused' : 'Holds'}: evidence of ${statement?.fleet ?? 'a backup key vault'}`;
  const sections = [
    renderVerdict(report),
    renderChecks(report.checks),
    renderKeys(report),
    statement && anchors && renderDrop(statement, anchors),
    anchors && renderAnchors(anchors),
    renderParticipants(report),
    renderTranscript(report),
    footer(),
  ];
  return sections.filter((one) => one !== undefined);
}

function withoutEvidence(): HTMLElement {
  return element(
    'p',
    { class: 'verdict refused', 'data-verdict': 'empty' },
    'This page holds no evidence. A ceremony writes it into an evidence directory together with what it verifies.',
  );
}

function footer(): HTMLElement {
  return element(
    'footer',
    {},
    element(
      'p',
      {},
      'Do not take this page’s word for it: whoever can change the evidence can change the page. It verified what is embedded in it, and not the files beside it. The same checks with tools of others, in the directory that this page came in, with $ANCHORS naming a directory of keys that you know from elsewhere (docs/AUDIT.md says which):',
    ),
    element(
      'pre',
      { tabindex: '0' },
      [
        'set -o pipefail',
        'openssl cms -verify -binary -no-CApath -no-CAstore -CAfile "$ANCHORS/operator-ca.pem" -in validation-bundle.txt |',
        '  openssl cms -verify -binary -no-CApath -no-CAstore -CAfile "$ANCHORS/witness-ca.pem" | cmp - statement.json',
        'sha256sum statement.json manifest.json',
        'bkvctl evidence verify . --anchors "$ANCHORS"',
      ].join('\n'),
    ),
    element(
      'p',
      {},
      'This page loads nothing and sends nothing; its own security policy forbids it. docs/AUDIT.md of the software explains every hash and signature.',
    ),
  );
}
