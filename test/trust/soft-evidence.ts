import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { p256 } from '@noble/curves/nist.js';
import { stringify } from 'yaml';
import { complete } from '../../fleet/ceremony/complete.ts';
import { enforceEpoch } from '../../fleet/ceremony/enforce.ts';
import { holdCeremony } from '../../fleet/ceremony/hold.ts';
import { loadPlan } from '../../fleet/ceremony/load-plan.ts';
import { participate } from '../../fleet/ceremony/participate.ts';
import { readEvidence } from '../../fleet/ceremony/read-evidence.ts';
import { seal } from '../../fleet/ceremony/seal.ts';
import { formatProof } from '../../fleet/log/proof.ts';
import { leafHash, makeInclusionProof } from '../../fleet/log/tree.ts';
import { validityFrom } from '../../fleet/produce/authority.ts';
import { signSmime } from '../../fleet/produce/cms.ts';
import type { TokenReading } from '../../fleet/produce/token-reading.ts';
import { readAnchors } from '../../fleet/verify/anchors.ts';
import type { EvidencePolicy } from '../../fleet/verify/evidence.ts';
import type { EvidenceFiles } from '../../fleet/verify/files.ts';
import type { CeremonyPlan } from '../../fleet/verify/plan.ts';
import { constantTimeEqual, toHex, utf8 } from '../../primitives/bytes.ts';
import { keyRules } from '../../protocol/key-rules.ts';
import type { Statement } from '../../protocol/statement.ts';
import { newestLinesOf } from '../harness/soft-notary.ts';
import { type SoftCosigner, type SoftKey, softCheckpoint, softKey, softMlDsaKey, softPolicy } from '../harness/test-log.ts';
import { makeParty, type Party, softSigner } from './parties.ts';

// Whole evidence as a ceremony leaves it, with keys in this process in place of tokens, a witness and a log.

export const DAY = 24 * 3600 * 1000;
const TEMPLATE = '<html><script type="application/json" id="evidence">null</script></html>';

export interface SoftWorld {
  readonly now: number;
  readonly operator: Party;
  readonly witness: Party;
  readonly log: SoftKey;
  readonly cosigners: readonly SoftCosigner[];
  readonly participants: ReadonlyMap<string, ReturnType<typeof softSigner>>;
  /** Statements logged so far. */
  readonly entries: Uint8Array[];
  /** operator-ca.pem, …, as somebody knows them from elsewhere. */
  readonly anchors: EvidenceFiles;
  readonly policy: EvidencePolicy;
  readonly directory: string;
  remove(): void;
}

export async function softWorld(now = Date.now()): Promise<SoftWorld> {
  const directory = mkdtempSync(join(tmpdir(), 'bkv-evidence-'));
  const validity = validityFrom(now);
  const [operator, witness] = [await makeParty('operator', validity), await makeParty('witness', validity)];
  const [log, cosigners] = [softKey('witness.example/backup-key-vault'), [softKey('one.example'), softMlDsaKey('two.example')]];
  const anchors = new Map([
    ['operator-ca.pem', utf8(operator.ca)],
    ['witness-ca.pem', utf8(witness.ca)],
    ['log-policy.txt', utf8(softPolicy(log, cosigners, 1))],
  ]);
  return {
    ...{ now, operator, witness, log, cosigners, anchors, directory },
    participants: new Map(['operator', 'custodian-1', 'custodian-2', 'witness'].map((name) => [name, softSigner()])),
    entries: [],
    policy: { anchors: readAnchors(anchors, ''), checkpointAgeMost: 30 * DAY, operatorsLeast: 1 },
    remove: () => rmSync(directory, { recursive: true }),
  };
}

export interface Variation {
  readonly plan?: Partial<CeremonyPlan>;
  /** Changes what a token says of itself, by the replica's index. */
  readonly reading?: (reading: TokenReading, index: number) => TokenReading;
  readonly disagree?: string;
  readonly exceptions?: readonly string[];
}

export interface SoftEvidence {
  readonly directory: string;
  readonly files: Map<string, Uint8Array>;
  readonly statement: Statement;
}

/** A ceremony up to the participants' signatures. */
export async function softCeremony(world: SoftWorld, { plan = {}, reading = (one) => one, disagree, exceptions = [] }: Variation = {}) {
  const directory = join(world.directory, `evidence-${world.entries.length}-${toHex(randomBytes(4))}`);
  const planFile = join(world.directory, `${toHex(randomBytes(4))}.yaml`);
  // Unless told otherwise every token gets new keys, so that nothing of before is served.
  const epochs_ended = Array.from({ length: (plan.epoch ?? 1) - 1 }, (_, i) => i + 1);
  writeFileSync(planFile, stringify({ ...planDocument(world), epochs_ended, ...plan }));
  const held = await holdCeremony({
    loaded: loadPlan(planFile),
    directory,
    readToken: async (_replica, index) => reading(softReading(index), index),
    clock: { now: () => world.now, monotonic: () => 0, sleep: async () => {} },
    progress: () => {},
  });
  for (const [name, signer] of world.participants) {
    const verdict = name === disagree ? 'disagree' : 'agree';
    participate({ directory, name, signer, verdict, exceptions: name === 'custodian-1' ? exceptions : [], now: world.now });
  }
  return { directory, statement: held.statement };
}

/** All of it: witnessed, logged, countersigned. */
export async function softEvidence(world: SoftWorld, variation: Variation = {}): Promise<SoftEvidence> {
  const { directory, statement } = await softCeremony(world, variation);
  world.entries.push(statement.bytes);
  seal({
    ...{ directory, template: TEMPLATE, now: world.now, checkpointAgeMost: DAY, operatorsLeast: 1 },
    witnessed: signSmime(statement.bytes, world.witness.signer, world.now),
    logProof: proofOf(world, world.entries.length - 1),
    operator: world.operator.signer,
    anchors: world.anchors,
  });
  return { directory, statement, files: new Map(readEvidence(directory)) };
}

/** Puts a sealed statement in force, logs that and completes the evidence. */
export function softEnforced(world: SoftWorld, { directory, statement }: SoftEvidence, refuseOlderFrom = world.now): SoftEvidence {
  const strictness = { now: world.now, checkpointAgeMost: DAY, operatorsLeast: 1 };
  const { signed } = enforceEpoch({
    ...{ directory, refuseOlderFrom, ...strictness },
    operator: world.operator.signer,
    anchors: world.anchors,
  });
  const inForce = utf8(signed);
  world.entries.push(inForce);
  const index = world.entries.findIndex((entry) => constantTimeEqual(entry, statement.bytes));
  complete({
    ...{ directory, template: TEMPLATE, anchors: world.anchors, ...strictness, inForce },
    inForceProof: proofOf(world, world.entries.length - 1),
    logProof: proofOf(world, index),
  });
  return { directory, statement, files: new Map(readEvidence(directory)) };
}

export interface ProofChanges {
  readonly at?: number;
  readonly cosigners?: readonly SoftCosigner[];
  readonly log?: SoftKey;
  readonly entries?: readonly Uint8Array[];
  /** Lines of the checkpoint that do not follow from the entries. */
  readonly extensions?: readonly string[];
}

export function proofOf(world: SoftWorld, index: number, changes: ProofChanges = {}): Uint8Array {
  const { at = world.now, cosigners = world.cosigners, log = world.log, entries = world.entries } = changes;
  const { extensions = newestLinesOf(entries) } = changes;
  const leaves = entries.map(leafHash);
  return formatProof({
    index,
    hashes: makeInclusionProof(index, leaves),
    note: softCheckpoint(log, leaves, at, cosigners, extensions),
  });
}

export function planDocument(world: Pick<SoftWorld, 'now' | 'participants'>): CeremonyPlan {
  const second = (time: number) => new Date(time).toISOString().replace(/\.\d+Z$/, 'Z');
  return {
    type: 'backup-key-vault/ceremony-plan/v1',
    purpose: 'rehearsal',
    ...{ fleet: 'west', epoch: 1, threshold: 2, epochs_ended: [], store_incarnation: 1 },
    not_before: second(world.now - DAY),
    not_after: second(world.now + 300 * DAY),
    software: { version: '0.1.0', digest: `sha256:${'ab'.repeat(32)}`, rebuild: ['npm ci', 'make build', 'sha256sum dist.tar'] },
    replicas: [1, 2, 3].map((i) => ({
      name: `replica-${i}`,
      keys: 'make' as const,
      guard_incarnation: 1,
      config: `replica-${i}/config.yaml`,
      initialise: true,
      so_pin_file: `replica-${i}/so-pin`,
      attestation: [],
    })),
    participants: [...world.participants].map(([name, { pem }]) => ({
      name,
      role: name.startsWith('custodian') ? ('custodian' as const) : (name as 'operator' | 'witness'),
      public_key: pem,
    })),
  };
}

/** What a token of the kind that the vault needs says of itself. */
export function softReading(index: number): TokenReading {
  const point = () => toHex(p256.getPublicKey(p256.utils.randomSecretKey(), true));
  return {
    ...{ oprf_key: point(), release_key: point(), receipt_key: point() },
    token: { manufacturer: 'test', model: 'none', serial: `${index}${toHex(randomBytes(6))}`, firmware: '1.0' },
    key_attributes: Object.fromEntries(
      Object.entries(keyRules).map(([name, rules]) => [
        name,
        { label: `bkv/west/${index}/${name}`, ...rules, allowedMechanisms: '0x1041' },
      ]),
    ),
    mechanisms: ['0x1041', '0x1050'],
  };
}

/** Writes files into a new directory. */
export function writeFiles(directory: string, files: EvidenceFiles): string {
  for (const [name, bytes] of files) {
    mkdirSync(join(directory, name, '..'), { recursive: true });
    writeFileSync(join(directory, name), bytes);
  }
  return directory;
}
