import type { TestProject } from 'vitest/node';
import { type FleetPlaces, type Others, startCountedFleet } from './counted-fleet.ts';

declare module 'vitest' {
  interface ProvidedContext {
    fleet: FleetPlaces;
    others: Others;
  }
}

/** One fleet for all files of the project that do not stop its members: each test has records of its own. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const { places, others, stop } = await startCountedFleet();
  provide('fleet', places);
  provide('others', others);
  return stop;
}
