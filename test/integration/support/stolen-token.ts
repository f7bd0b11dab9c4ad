import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openToken } from '../../../daemon/token/open-token.ts';
import type { TokenPort } from '../../../daemon/token/port.ts';
import { loadProfile } from '../../../daemon/token/profile.ts';
import { makeSoftHsmDirectory } from '../../../daemon/token/softhsm-directory.ts';
import { packageRoot, profilePath } from '../../../primitives/package-root.ts';
import { SecretBytes } from '../../../primitives/secret-bytes.ts';
import { scratchDirectory } from '../../harness/reaper.ts';
import type { World } from './world.ts';

/** The token of a replica in hostile hands, with its PIN: it signs and computes whatever it is asked. One for each test file. */
export function openStolenToken(world: World, index: number): Promise<TokenPort> {
  const { directory } = world.replica(index);
  process.env.SOFTHSM2_CONF = join(directory, 'softhsm2.conf'); // read once in the life of a process
  return open(world, index);
}

/** Several of them, by one who copied their files. Once for each test file. */
export async function openStolenTokens(world: World, indices: readonly number[]): Promise<TokenPort[]> {
  const loot = scratchDirectory('loot');
  makeSoftHsmDirectory(loot, join(packageRoot, 'softhsm/softhsm2.conf'));
  for (const index of indices) cpSync(join(world.replica(index).directory, 'tokens'), join(loot, 'tokens'), { recursive: true });
  process.env.SOFTHSM2_CONF = join(loot, 'softhsm2.conf');
  const tokens: TokenPort[] = [];
  for (const index of indices) tokens.push(await open(world, index)); // one by one: C_Initialize is not made to run twice at once (PKCS#11 2.40, 5.4)
  return tokens;
}

function open(world: World, index: number): Promise<TokenPort> {
  const { directory } = world.replica(index);
  const { fleet } = world.client;
  const { epoch } = world.statement;
  const pin = () => ({ pin: new SecretBytes(readFileSync(join(directory, 'pin'))), stamp: '' });
  return openToken({ profile: loadProfile(profilePath('softhsm2')), tokenLabel: `${fleet}-${index}`, pin, fleet, index, epoch });
}
