import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openToken } from '../../../daemon/token/open-token.ts';
import type { TokenPort } from '../../../daemon/token/port.ts';
import { loadProfile } from '../../../daemon/token/profile.ts';
import { profilePath } from '../../../primitives/package-root.ts';
import { SecretBytes } from '../../../primitives/secret-bytes.ts';
import type { World } from './world.ts';

/** The token of a replica in hostile hands, with its PIN: it signs and computes whatever it is asked. One for each test file. */
export function openStolenToken(world: World, index: number): Promise<TokenPort> {
  const { directory } = world.replica(index);
  const { fleet } = world.client;
  const { epoch } = world.statement;
  process.env.SOFTHSM2_CONF = join(directory, 'softhsm2.conf'); // read once in the life of a process
  const pin = () => ({ pin: new SecretBytes(readFileSync(join(directory, 'pin'))), stamp: '' });
  return openToken({ profile: loadProfile(profilePath('softhsm2')), tokenLabel: `${fleet}-${index}`, pin, fleet, index, epoch });
}
