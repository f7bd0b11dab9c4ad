import { constantTimeEqual } from '../../primitives/bytes.ts';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import { decompress } from './curve.ts';
import { deriveX } from './derive.ts';
import { deviations } from './keys/key-record.ts';
import { rotatedNames } from './keys/key-sets.ts';
import { asOf, type ReplicaToken } from './keys/replica.ts';
import type { TestExtent } from './pool/messages.ts';
import { runRequiredProbes, whyUnfit } from './probe/probes.ts';
import { runsIn, trials } from './probe/trial.ts';
import { multiple } from './reference.ts';

/**
 * Shows, before anything is served, that this token does what the profile says and refuses what it must: the operations of the port
 * themselves against software, then the probes. Makes session objects only. The short one is for a token that passed before: what it
 * refuses is not tried again. Throws TOKEN_UNFIT.
 */
export function selfTest(token: ReplicaToken, extent: TestExtent = 'full'): void {
  checkOlderKeys(token);
  for (const { name, run } of trials.filter((trial) => runsIn(trial, extent))) {
    try {
      run(token, 'token');
    } catch (error) {
      if (isVaultError(error, 'TOKEN_UNFIT')) throw unfit(`“${name}” failed: ${error.message}.`);
      throw error;
    }
  }
  if (extent === 'full') checkProbes(token);
}

function checkOlderKeys(token: ReplicaToken): void {
  for (const { number, keys } of token.older) {
    if (keys === undefined) continue;
    const older = asOf(token, number);
    for (const name of rotatedNames) {
      const wrong = deviations(older, name);
      if (wrong.length > 0) throw unfit(`key ${name} of set ${number} does not have the attributes it should: ${wrong.join(', ')}.`);
    }
    if (constantTimeEqual(deriveX(older, 'oprf', generator()), deriveX(older, 'release', generator())))
      throw unfit(`OPRF key and release key of set ${number} are the same, or one is the negative of the other.`);
  }
}

const generator = () => decompress(multiple(1n), 'G');

/** What could not be tried was not refused: a token that hides what it would do is as unfit as one that does it. */
function checkProbes(token: ReplicaToken): void {
  const why = whyUnfit(runRequiredProbes(token));
  if (why !== undefined) throw unfit(why);
}

const unfit = (why: string): VaultError => new VaultError('TOKEN_UNFIT', `The token is not fit to serve: ${why}`);
