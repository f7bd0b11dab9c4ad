import { VaultError } from '../../primitives/errors.ts';

/** Throws GUARD_FAILING: another replica may do better. Whether a write is there, the disk tells when it is read again. */
export async function onDisk<T>(access: () => Promise<T>): Promise<T> {
  try {
    return await access();
  } catch (cause) {
    if (cause instanceof VaultError) throw cause;
    throw new VaultError('GUARD_FAILING', `The guard’s disk is full, or fails: ${(cause as Error).message}.`, { cause });
  }
}
