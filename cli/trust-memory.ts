import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Remembered, TrustMemory } from '../client/trust-policy.ts';
import { writeDurably } from '../fleet/witness/durable-file.ts';
import { fromHex, toHex, utf8 } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';

const schema = z.strictObject({
  type: z.literal('backup-key-vault/trust-memory/v1'),
  fleet: z.string(),
  epoch_least: z.int().min(1),
  checkpoint: z.strictObject({ origin: z.string(), size: z.int().min(1), root: z.string().regex(/^[0-9a-f]{64}$/) }),
});

/**
 * A device's memory of one fleet in a file. A file that is not there is a device that saw nothing yet: whoever can remove it can change
 * the client file beside it, and the policy's own lowest epoch holds. One that is damaged, or another fleet's, is CONFIG_INVALID.
 */
export const fileMemory = (file: string, fleet: string): TrustMemory => ({
  async load(): Promise<Remembered | undefined> {
    const text = read(file);
    if (text === undefined) return undefined;
    const { epoch_least, checkpoint, fleet: whose } = parse(file, text);
    if (whose !== fleet) throw wrong(file, `it is of the fleet ${whose}, not of ${fleet}`);
    return { epochLeast: epoch_least, checkpoint: { ...checkpoint, root: fromHex(checkpoint.root, 'root') } };
  },
  async save({ epochLeast, checkpoint: { origin, size, root } }: Remembered): Promise<void> {
    const document: z.infer<typeof schema> = {
      type: 'backup-key-vault/trust-memory/v1',
      fleet,
      epoch_least: epochLeast,
      checkpoint: { origin, size, root: toHex(root) },
    };
    try {
      writeDurably(file, utf8(`${JSON.stringify(document, null, 2)}\n`));
    } catch (cause) {
      throw wrong(file, `it cannot be written: ${(cause as Error).message}`, cause);
    }
  },
});

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw wrong(file, `it cannot be read: ${(cause as Error).message}`, cause);
  }
}

function parse(file: string, text: string): z.infer<typeof schema> {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw wrong(file, 'it is damaged; without it older statements would be accepted again, so look why before it is removed', cause);
  }
}

const wrong = (file: string, why: string, cause?: unknown) =>
  new VaultError('CONFIG_INVALID', `The trust memory ${file} is wrong: ${why}.`, { cause });
