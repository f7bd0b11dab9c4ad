import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import { parseStatement, type Statement } from '../../protocol/statement.ts';
import { earlierAfter } from '../../protocol/terms.ts';
import { Checklist, refuse, refusing } from './checks.ts';
import { type EvidenceFiles, encodeCanonical, hexHash, need, sameCanonical } from './files.ts';
import { expectContinues } from './history.ts';
import { verifyManifest } from './manifest.ts';
import { expectAgreement, type SignedParticipant, verifyParticipants } from './participants.ts';
import { type CeremonyPlan, indicesOf, operatorOf, parsePlan } from './plan.ts';
import { parsePublicKey } from './public-key.ts';
import { type TokenDescription, verifyAttributes, verifyKeys, verifyToken, verifyTold } from './replica-files.ts';
import { only, type Transcript, verifyTranscript } from './transcript.ts';

/** What the evidence says, as far as it could be read. */
export interface Deployment {
  readonly statement: Statement | undefined;
  readonly plan: CeremonyPlan | undefined;
  readonly transcript: Transcript | undefined;
  readonly participants: readonly SignedParticipant[] | undefined;
  readonly tokens: readonly TokenDescription[] | undefined;
}

/** YAML can spell half a character, which has no canonical form. */
const NO_TEXT = 'The plan holds what is not text.';

/** Throws FLEET_UNTRUSTED whose details name the first check that fails. For whoever is asked to sign the statement. */
export function verifyDeployment(files: EvidenceFiles): Deployment {
  const list = new Checklist();
  const deployment = checkDeployment(list, files);
  list.throwIfRefused();
  return deployment;
}

/**
 * What must hold before a witness signs: the statement follows the one before it, the evidence is whole and is this statement's, tokens
 * hold these keys safely, and everyone agreed. Bundle and log come later (evidence.ts).
 */
export function checkDeployment(list: Checklist, files: EvidenceFiles): Deployment {
  const statement = list.run(
    'statement',
    'The statement is well formed: keys, names and tokens all differ, the threshold is a majority',
    [],
    () => {
      const parsed = parseStatement(need(files, 'statement.json'));
      return [parsed, `Fleet ${parsed.fleet}, epoch ${parsed.epoch}: ${parsed.threshold} of ${parsed.replicas.length} replicas.`];
    },
  );
  list.run('previous', 'It follows the statement of the epoch before', [statement], (one) => [true, expectFollows(one, files)]);
  const manifest = list.run('manifest', 'Every file is the one that the manifest names', [], () => {
    const verified = verifyManifest(files);
    return [verified, `${Object.keys(verified.files).length} files, none changed, none more.`];
  });
  list.run('evidence', 'The statement names this evidence', [statement, manifest], (one) => {
    const hash = hexHash(need(files, 'manifest.json'));
    if (one.document.evidence !== hash) throw refuse('evidence-mismatch', 'The statement names other evidence than this.');
    return [true, `SHA-256 of the manifest: ${hash}.`];
  });

  const plan = list.run('plan', 'The fleet is the one that was planned', [], () => {
    const parsed = parsePlan(need(files, 'plan.yaml'));
    return [parsed, `A ${parsed.purpose} of ${parsed.replicas.length} replicas, with ${parsed.participants.length} participants.`];
  });
  list.run('as-planned', 'The statement says what was planned', [plan, statement], (planned, one) => [
    true,
    refusing('plan-mismatch', NO_TEXT, () => expectPlanned(one, planned, files)),
  ]);
  const transcript = list.run('transcript', 'The transcript of the ceremony is one unbroken chain', [], () => {
    const verified = verifyTranscript(need(files, 'transcript.jsonl'));
    return [verified, `${verified.lines.length} lines, the last with hash ${verified.head}.`];
  });
  list.run('as-told', 'The transcript tells of these very files', [transcript, plan], (told, planned) => [
    true,
    refusing('plan-mismatch', NO_TEXT, () => expectTold(files, told, planned)),
  ]);

  const keys = list.run('token-keys', 'Each token holds the keys that the statement says', [statement], ({ document }) => {
    const read = document.replicas.map((replica) => verifyKeys(files, replica));
    return [read, `${read.length} tokens, read back.`];
  });
  const tokens = list.run('tokens', 'Each token is the one that the statement says', [statement], ({ document }) => {
    const read = document.replicas.map((replica) => verifyToken(files, replica));
    return [read, read.map(({ manufacturer, model, serial }) => `${manufacturer} ${model}, serial ${serial}`).join('; ')];
  });
  list.run('attributes', 'No key can leave its token, or do what it must not', [keys], (read) => {
    for (const replica of read) verifyAttributes(replica);
    const number = read.reduce((sum, { keys: all }) => sum + Object.keys(all).length, 0);
    return [true, `${number} keys, as their tokens describe them.`];
  });

  const participants = list.run(
    'participants',
    'Everyone who took part signed',
    [plan, statement, transcript],
    (planned, one, { head }) => {
      const signed = verifyParticipants(files, planned, one, head);
      return [signed, signed.map(({ name, role }) => `${name} (${role})`).join(', ')];
    },
  );
  list.run('agreement', 'Everyone who took part agrees', [participants], (signed) => {
    expectAgreement(signed);
    const exceptions = signed.flatMap(({ name, exceptions: texts }) => texts.map((text) => `${name}: “${text}”`));
    return [true, exceptions.length === 0 ? 'Without exceptions.' : `With exceptions. ${exceptions.join(' ')}`];
  });
  return { statement, plan, transcript, participants, tokens };
}

function expectFollows(statement: Statement, files: EvidenceFiles): string {
  const { document, epoch, fleet } = statement;
  if (epoch === 1) {
    if (document.previous !== null || document.earlier.length > 0)
      throw refuse('previous-mismatch', 'The statement of epoch 1 names a previous one.');
    return 'It is the first.';
  }
  const previous = parseStatement(need(files, 'previous.json'));
  if (epoch !== previous.epoch + 1)
    throw refuse('epoch-gap', `The statement is of epoch ${epoch}, the one before of epoch ${previous.epoch}.`);
  if (document.previous !== toHex(previous.hash) || fleet !== previous.fleet)
    throw refuse('previous-mismatch', 'The statement does not name the statement before it by its hash.');
  expectContinues(previous, statement);
  return `It follows epoch ${previous.epoch}, ${document.previous}.`;
}

function expectPlanned({ document }: Statement, plan: CeremonyPlan, files: EvidenceFiles): string {
  const { fleet, epoch, threshold, store_incarnation, not_before, not_after, software } = plan;
  const indices = indicesOf(plan);
  const planned = {
    ...{ fleet, epoch, threshold, store_incarnation, not_before, not_after },
    earlier: epoch === 1 ? [] : earlierAfter(parseStatement(need(files, 'previous.json')).document, plan.epochs_ended),
    software: { version: software.version, digest: software.digest },
    replicas: plan.replicas.map((replica, i) => {
      const { name, guard_incarnation } = replica;
      return { index: indices[i] as number, name, operator: operatorOf(plan, replica), guard_incarnation };
    }),
  };
  const stated = {
    ...document,
    replicas: document.replicas.map(({ index, name, operator, guard_incarnation }) => ({ index, name, operator, guard_incarnation })),
  };
  for (const field of Object.keys(planned) as (keyof typeof planned)[])
    if (!sameCanonical(planned[field], stated[field]))
      throw refuse('plan-mismatch', `The statement’s ${field} is not the one in the plan.`);
  return `${plan.replicas.length} replicas, threshold ${threshold}, software ${software.version}.`;
}

function expectTold(files: EvidenceFiles, transcript: Transcript, plan: CeremonyPlan): string {
  const { fleet, epoch, purpose, threshold, participants, replicas } = plan;
  const { version, digest, rebuild } = plan.software;
  const failed = transcript.lines.find(({ event }) => event === 'ceremony-failed');
  if (failed) throw refuse('evidence-mismatch', `The transcript tells that the ceremony failed: ${String(failed.data.why)}`);
  const named = participants.map(({ name, role, public_key }) => ({ name, role, key: parsePublicKey(public_key).fingerprint }));
  const told = {
    'ceremony-begun': { plan: hexHash(need(files, 'plan.yaml')), fleet, epoch, purpose },
    ...(epoch > 1 && { 'previous-statement': { sha256: hexHash(need(files, 'previous.json')), epoch: epoch - 1 } }),
    'participants-named': { participants: named },
    'software-named': { sha256: hexHash(need(files, 'software.json')), version, digest },
    'deployment-described': { replicas: replicas.length, threshold },
  };
  if (transcript.lines[0]?.event !== 'ceremony-begun') throw refuse('evidence-mismatch', 'The transcript does not begin with the plan.');
  for (const [event, data] of Object.entries(told))
    if (!sameCanonical(only(transcript, event), data))
      throw refuse('evidence-mismatch', `What the transcript tells in "${event}" is not what plan and files say.`);
  if (!constantTimeEqual(encodeCanonical({ version, digest, rebuild }), need(files, 'software.json')))
    throw refuse('plan-mismatch', 'The file software.json is not what the plan says.');
  const lines = replicas.reduce((sum, replica) => sum + verifyTold(files, replica, transcript), Object.keys(told).length);
  if (transcript.lines.length !== lines)
    throw refuse('evidence-mismatch', `The transcript has ${transcript.lines.length} lines, and this plan makes ${lines}.`);
  return `Plan, software, and the tokens and keys of ${plan.replicas.length} replicas.`;
}
