import { z } from 'zod';
import { refuse } from './checks.ts';
import { type EvidenceFiles, hexHash, need, parseCanonical } from './files.ts';

export const MANIFEST_TYPE = 'backup-key-vault/evidence/v1';

const schema = z.strictObject({
  type: z.literal(MANIFEST_TYPE),
  /** SHA-256 of every file that was there before the statement was signed. */
  files: z.record(z.string(), z.string().regex(/^[0-9a-f]{64}$/)),
});

export type Manifest = z.infer<typeof schema>;

// Files that come after the manifest, and that other checks vouch for or that nothing rests on.
const LATER =
  /^(manifest\.json|statement\.json|validation-bundle\.txt|log-proof\.txt|in-force\.txt|in-force-proof\.txt|index\.html|participants\/[^/]+|anchors\/[^/]+)$/;

/** Whether the manifest is to name this file. */
const isManifested = (name: string): boolean => !LATER.test(name);

/** Every file that the manifest names is there and unchanged, and no other is. Throws manifest-mismatch, evidence-incomplete. */
export function verifyManifest(files: EvidenceFiles): Manifest {
  const manifest = parseCanonical(need(files, 'manifest.json'), schema, 'manifest-mismatch', 'The manifest');
  for (const [name, hash] of Object.entries(manifest.files)) {
    if (!isManifested(name)) throw refuse('manifest-mismatch', `The manifest names ${name}, which is made after it.`);
    if (hexHash(need(files, name)) !== hash) throw refuse('manifest-mismatch', `The file ${name} is not the one that the manifest names.`);
  }
  const stray = [...files.keys()].find((name) => isManifested(name) && !Object.hasOwn(manifest.files, name));
  if (stray) throw refuse('manifest-mismatch', `The file ${stray} is not in the manifest.`);
  return manifest;
}
