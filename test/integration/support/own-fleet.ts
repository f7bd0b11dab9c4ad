import { DevFleet, type DevFleetOptions } from '../../harness/dev-fleet.ts';
import { placesOf } from './counted-fleet.ts';
import { World } from './world.ts';

/** A fleet whose members a test kills. */
export interface OwnFleet {
  readonly fleet: DevFleet;
  readonly world: World;
  stop(): Promise<void>;
}

export async function startOwnFleet(options: DevFleetOptions = {}): Promise<OwnFleet> {
  const fleet = await DevFleet.start(options);
  const world = await World.open(placesOf(fleet));
  const stop = async () => {
    world.close();
    await fleet.stop();
  };
  return { fleet, world, stop };
}
