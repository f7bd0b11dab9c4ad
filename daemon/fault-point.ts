/** The moments at which a crash is worth a test. */
export type FaultPoint =
  | 'before-commit'
  | 'after-commit'
  | 'before-guard-write'
  | 'between-guard-and-mark'
  | 'after-guard-write'
  | 'before-vote-reply'
  | 'before-evaluate'
  | 'before-reply';

const VARIABLE = 'BKVD_FAULT_POINT';

const [point, nth = '1'] = (process.env[VARIABLE] ?? '').split(':');
let left = Number(nth);

if (point) process.stderr.write(`bkvd: ${VARIABLE} is set: this replica kills itself at "${point}", time ${nth}. For tests only.\n`);

/**
 * For tests of crashes (test/fault): with BKVD_FAULT_POINT=<point>[:<n>] in the environment the daemon kills itself when it comes here
 * for the n-th time, as a power failure would. Without it nothing happens; and all that it could ever do is what any crash does.
 */
export function faultPoint(here: FaultPoint): void {
  if (here === point && --left === 0) process.kill(process.pid, 'SIGKILL');
}
