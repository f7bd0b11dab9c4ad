import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parse, stringify } from 'yaml';
import { makeDirectory, PUBLIC, writeNew } from '../../fleet/produce/files.ts';
import { type CeremonyPlan, PLAN_TYPE, type PlannedReplica } from '../../fleet/verify/plan.ts';
import { packageRoot, version } from '../../primitives/package-root.ts';
import { Narrator, perform } from '../narrator.ts';
import { makeReplicaPlace, makeTokenPlace, type TokenPlace } from './places.ts';
import { run, serve } from './run.ts';

// Two ceremonies of one fleet with software tokens, a witness with its own token and log, and a second witness that cosigns. Everything
// stays in build/trust/.

const FLEET = 'demo';
const LOG = 'witness.example/backup-key-vault';
/** Of all that runs. The same sources and the same compiler give the same bytes. */
const DIGEST = "find dist -name '*.js' | LC_ALL=C sort | xargs cat | sha256sum";
const DAY = 24 * 3600 * 1000;
const roles = { operator: 'operator', 'custodian-1': 'custodian', 'custodian-2': 'custodian', auditor: 'auditor' } as const;
type Name = keyof typeof roles;

const root = join(packageRoot, 'build/trust');
const at = (...names: string[]) => join(root, ...names);
const narrator = new Narrator();

async function main(): Promise<void> {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { recursive: true });
  for (const folder of ['tokens', 'plans', 'anchors', 'witnessed']) makeDirectory(at(folder));

  const participants = await makeParticipants();
  const stop = await makeWitnesses();
  try {
    makeAnchors();
    tellOperator();
    const replicas = [1, 2, 3].map((i) => makeReplicaPlace(at('tokens', `replica-${i}`), FLEET, i));
    await epoch(1, replicas, ['make', 'make', 'make'], participants);
    copyFileSync(at('epoch-1', 'statement.json'), at('tokens', 'statement.json')); // under which they serve from now on
    narrator.say(
      'Months later the keys of replica-1 are rotated, and the token of replica-3 is replaced by another. Replica-2 keeps its keys.',
    );
    replicas[2] = makeReplicaPlace(at('tokens', 'replica-3-new'), FLEET, 3);
    await epoch(2, replicas, ['rotate', 'keep', 'make'], participants);
  } finally {
    stop();
  }
  const anchors = relative(process.cwd(), at('anchors'));
  const evidence = relative(process.cwd(), at('epoch-2'));
  narrator.say(`Look at ${evidence}/index.html in a browser; docs/AUDIT.md has the commands for openssl, sha256sum and jq.`);
  console.log(`Check it: node dist/cli/main.js evidence verify ${evidence} --anchors ${anchors}`);
}

async function makeParticipants(): Promise<ReadonlyMap<Name, TokenPlace>> {
  const places = new Map<Name, TokenPlace>();
  for (const name of Object.keys(roles) as Name[]) {
    const place = makeTokenPlace(at('tokens', name));
    const token = ['--token', name, '--pin-file', place.pinFile];
    const certify = name === 'operator' ? ['--certify', 'Operator of the demo fleet'] : [];
    await run(
      'bkvctl',
      ['ceremony', 'key', join(place.directory, 'key'), ...token, '--so-pin-file', place.soPinFile, ...certify],
      place.environment,
    );
    places.set(name, place);
  }
  narrator.say(`Made ${places.size} participants, each with a key in a token of its own: ${[...places.keys()].join(', ')}.`);
  return places;
}

/** The witness that keeps the log, and a second one that cosigns it. Returns what stops the second. */
async function makeWitnesses(): Promise<() => void> {
  const make = async (name: string, log: string) => {
    const place = makeTokenPlace(at('tokens', name));
    const token = ['--token-label', name, '--pin-file', place.pinFile, '--init-token', '--so-pin-file', place.soPinFile];
    await run('bkv-witness', ['--dir', at(name), 'init', '--name', log, ...token], place.environment);
    return place;
  };
  await make('witness', LOG);
  const second = await make('second-witness', 'second.example/witness');
  await run('bkv-witness', ['--dir', at('second-witness'), 'follow', text(at('witness', 'log.vkey')).trim()], second.environment);
  const { url, process: server } = await serve(at('second-witness'), second.environment);
  const file = at('witness', 'witness.yaml');
  const config = parse(text(file)) as { cosigners: object[] };
  config.cosigners.push({ vkey: text(at('second-witness', 'cosigner.vkey')).trim(), url });
  writeFileSync(file, stringify(config));
  narrator.say(`Made the witness ${LOG} with its own token and log, and a second witness that cosigns it.`);
  return () => server.kill();
}

/** What everybody would know from elsewhere: print, websites of others, the app itself. */
function makeAnchors(): void {
  const keep = (from: string, name: string) => writeNew(at('anchors', name), text(from), PUBLIC);
  keep(at('tokens', 'operator', 'key', 'ca.pem'), 'operator-ca.pem');
  keep(at('witness', 'witness-ca.pem'), 'witness-ca.pem');
  const vkey = (...names: string[]) => text(at(...names)).trim();
  const policy = [`log ${vkey('witness', 'log.vkey')}`, `witness second ${vkey('second-witness', 'cosigner.vkey')}`, 'quorum second'];
  writeNew(at('anchors', 'log-policy.txt'), `${policy.join('\n')}\n`, PUBLIC);
}

/** Whoever may put epochs of the fleet in force, as the witness knows it. */
function tellOperator(): void {
  const file = at('witness', 'witness.yaml');
  const config = parse(text(file)) as { operators: object[] };
  config.operators.push({ fleet: FLEET, ca: '../anchors/operator-ca.pem' });
  writeFileSync(file, stringify(config));
}

async function epoch(
  number: number,
  replicas: readonly TokenPlace[],
  keys: readonly PlannedReplica['keys'][],
  participants: ReadonlyMap<Name, TokenPlace>,
): Promise<void> {
  const evidence = at(`epoch-${number}`);
  const plan = writeNew(at('plans', `epoch-${number}.yaml`), stringify(planOf(number, replicas, keys, participants)), PUBLIC);
  writeNew(at('plans', `epoch-${number}-script.md`), String((await run('bkvctl', ['ceremony', plan, '--script'])).script), PUBLIC);
  await run('bkvctl', ['ceremony', plan, '--out', evidence, '--dry-run']);
  const held = await run('bkvctl', ['ceremony', plan, '--out', evidence]);
  narrator.say(
    `Epoch ${number}: held the ceremony. Statement ${String(held.statement_hash).slice(0, 16)}…, “${firstWords(held.statement_words)} …”`,
  );
  for (const [name, place] of participants) {
    const exception = name === 'auditor' && number === 1 ? ['--exception', 'This is a rehearsal on one machine.'] : [];
    const key = ['--token', name, '--pin-file', place.pinFile];
    await run('bkvctl', ['ceremony', 'sign', evidence, '--as', name, ...key, ...exception], place.environment);
  }
  narrator.say(`Epoch ${number}: ${participants.size} participants verified it and signed that they agree.`);

  const out = at('witnessed', `epoch-${number}`);
  const witness = { SOFTHSM2_CONF: at('tokens', 'witness', 'softhsm2.conf') };
  const heard = ['--statement', String(held.statement_hash)];
  const logged = await run('bkv-witness', ['--dir', at('witness'), 'submit', evidence, '--out', out, ...heard, '--rehearsal'], witness);
  narrator.say(`Epoch ${number}: the witness verified it, put it into its log as entry ${logged.index} and signed; the second cosigned.`);

  const operator = participants.get('operator') as TokenPlace;
  await run(
    'bkvctl',
    [
      ...['ceremony', 'seal', evidence, '--witnessed', join(out, 'witnessed.txt'), '--proof', join(out, 'log-proof.txt')],
      ...['--certificate', join(operator.directory, 'key/bundle.crt'), '--anchors', at('anchors')],
      ...['--token', 'operator', '--pin-file', operator.pinFile],
    ],
    operator.environment,
  );
  narrator.say(`Epoch ${number}: the operator signed over it, and the evidence is sealed.`);

  const inForce = join(out, 'in-force.txt');
  await run(
    'bkvctl',
    [
      ...['ceremony', 'enforce', evidence, '--refuse-older-from', new Date().toISOString(), '--out', inForce],
      ...['--certificate', join(operator.directory, 'key/bundle.crt'), '--anchors', at('anchors')],
      ...['--token', 'operator', '--pin-file', operator.pinFile],
    ],
    operator.environment,
  );
  await run('bkv-witness', ['--dir', at('witness'), 'enforce', inForce, '--out', out], witness);
  const proofs = ['--in-force', inForce, '--proofs', out, '--anchors', at('anchors')];
  await run('bkvctl', ['ceremony', 'complete', evidence, ...proofs]);
  narrator.say(`Epoch ${number}: the operator put it in force, and the witness logged that: its checkpoints name this epoch from now on.`);
  const { verdict } = await run('bkvctl', ['evidence', 'verify', evidence, '--anchors', at('anchors')]);
  if (verdict !== 'trusted') throw new Error(`The evidence of epoch ${number} is ${verdict}.`);
  narrator.say(`Epoch ${number}: the evidence is complete, and trusted.`);
}

function planOf(
  number: number,
  replicas: readonly TokenPlace[],
  keys: readonly PlannedReplica['keys'][],
  participants: ReadonlyMap<Name, TokenPlace>,
): CeremonyPlan {
  const now = Date.now();
  const second = (time: number) => new Date(time).toISOString().replace(/\.\d+Z$/, 'Z');
  const path = (file: string) => relative(at('plans'), file);
  return {
    ...{ type: PLAN_TYPE, purpose: 'rehearsal', fleet: FLEET, epoch: number, threshold: 2, epochs_ended: [], store_incarnation: 1 },
    ...(number > 1 ? { previous: path(at(`epoch-${number - 1}`, 'statement.json')) } : {}),
    not_before: second(now - 3600 * 1000),
    not_after: second(now + 180 * DAY),
    software: {
      version,
      digest: `sha256:${execFileSync('bash', ['-c', DIGEST], { cwd: packageRoot }).toString().slice(0, 64)}`,
      rebuild: ['npm ci', 'make build', DIGEST],
    },
    replicas: replicas.map(({ directory, soPinFile, environment }, i) => ({
      name: `replica-${i + 1}`,
      keys: keys[i] as PlannedReplica['keys'],
      guard_incarnation: number > 1 && keys[i] === 'make' ? 2 : 1, // a new token's guard begins anew
      config: path(join(directory, 'config.yaml')),
      initialise: keys[i] === 'make',
      ...(keys[i] === 'make' ? { so_pin_file: path(soPinFile) } : {}),
      module_configuration: { variable: 'SOFTHSM2_CONF', file: path(environment.SOFTHSM2_CONF) },
      attestation: [],
    })),
    participants: [...participants].map(([name, { directory }]) => ({
      name,
      role: roles[name],
      public_key: text(join(directory, 'key/public.pem')),
    })),
  };
}

const text = (file: string): string => readFileSync(file, 'utf8');
const firstWords = (words: unknown): string => String(words).split(' ').slice(0, 4).join(' ');

await perform('trust-demo', main);
