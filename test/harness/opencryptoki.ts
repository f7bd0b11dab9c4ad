import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { inModule, type Module, type ModulePlace, type SlotId } from '../../daemon/token/pkcs11/module.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { SecretBytes } from '../../primitives/secret-bytes.ts';
import type { Installation } from './test-tokens.ts';

// For tests: openCryptoki's soft token, kept apart from what the machine has. Its daemon pkcsslotd is started with a configuration of the
// test's own, which a mount namespace lays over the real one, and its tokens have names that nothing else has.

const TOKENS = 4;

/** Starts pkcsslotd with some blank tokens, until `atEnd`. One at a time on a machine. */
export function startSlotDaemon({ slotDaemon, conf, state }: Installation, directory: string, atEnd: (stop: () => void) => void): void {
  const names = Array.from({ length: TOKENS }, (_, i) => `bkv-${process.pid}-${i}`);
  const [ours, log] = [join(directory, 'opencryptoki.conf'), join(directory, 'pkcsslotd.log')];
  const slots = names.map((name, i) => `slot ${i}\n{\nstdll = libpkcs11_sw.so\ntokname = ${name}\ntokversion = 3.12\n}\n`);
  const [version = ''] = readFileSync(conf, 'utf8').split('\n');
  writeFileSync(ours, [version, ...slots].join('\n'));
  const words = [ours, conf, slotDaemon, dirname(RUN), RUN, state, log, ...names];
  const keeper = spawn('unshare', ['--mount', 'sh', '-c', KEEPER, 'keeper', ...words], { stdio: ['pipe', 'ignore', 'ignore'] });
  const isOver = () => existsSync(`${log}.over`) || keeper.exitCode !== null;
  wait(() => existsSync(`${log}.ready`) || isOver());
  if (!existsSync(`${log}.ready`)) throw new VaultError('TOKEN_MISSING', `pkcsslotd does not start: ${readFileSync(log, 'utf8')}`);
  atEnd(() => {
    keeper.kill(); // at once, where closing its input would wait for the event loop
    wait(isOver);
  });
}

const RUN = '/run/opencryptoki/pkcsslotd.pid';

/** Lives until it is told to end, or its input ends, which is when the test does, however it ends; then takes all of it away. */
const KEEPER = `
trap : TERM
ours=$1 conf=$2 daemon=$3 run=$4 pid=$5 state=$6 log=$7
shift 7
{
  mount --bind "$ours" "$conf" && { [ -d "$run" ] || install -d -o pkcsslotd -g pkcs11 -m 0710 "$run"; } && "$daemon" && : >"$log.ready"
} >"$log" 2>&1 && {
  read -r _
  process=$(cat "$pid") tries=0
  kill "$process"
  while grep -qs '^State:.[RSD]' "/proc/$process/status" && [ $tries -lt 60 ]; do sleep 0.05; tries=$((tries + 1)); done
  kill -9 "$process" 2>/dev/null # it waits for clients, of which one that does not finalise its module is none that leaves
  rm -f "$pid"
}
for name; do
  rm -rf "$state/lib/opencryptoki/$name" "$state/lock/opencryptoki/$name" /dev/shm/*opencryptoki."$name"
done
: >"$log.over" 2>/dev/null
`;

function wait(until: () => boolean): void {
  for (let i = 0; i < 400 && !until(); i++) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 25);
}

/** As `pkcsconf -I`, `-P`, `-u` and `-p` do it: both PINs have to be changed before they are good. */
export const initSoftToken = (place: ModulePlace, label: string, soPin: SecretBytes, pin: SecretBytes): void =>
  inModule(place, (module) => {
    const slot = blankSlot(module);
    const [so, user] = [soPin, pin].map((secret) => new TextDecoder().decode(secret.expose())) as [string, string];
    module.C_InitToken(slot, FACTORY_SO_PIN, label.padEnd(32));
    const session = module.C_OpenSession(slot, RW_SESSION);
    module.C_Login(session, CKU_SO, FACTORY_SO_PIN);
    module.C_SetPIN(session, FACTORY_SO_PIN, so);
    module.C_InitPIN(session, FIRST_PIN);
    module.C_Logout(session);
    module.C_Login(session, CKU_USER, FIRST_PIN);
    module.C_SetPIN(session, FIRST_PIN, user);
    module.C_Logout(session);
    module.C_CloseSession(session);
  });

const [FACTORY_SO_PIN, FIRST_PIN] = ['87654321', '12344321'];
const [CKU_SO, CKU_USER, RW_SESSION] = [0, 1, 6];
const CKF_USER_PIN_INITIALIZED = 8;

function blankSlot(module: Module): SlotId {
  const blank = module.C_GetSlotList(true).find((slot) => (module.C_GetTokenInfo(slot).flags & CKF_USER_PIN_INITIALIZED) === 0);
  if (blank === undefined) throw new VaultError('TOKEN_MISSING', 'No slot of openCryptoki holds a blank token.');
  return blank;
}
