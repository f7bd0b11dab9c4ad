import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { VaultError } from '../primitives/errors.ts';

const schema = z.strictObject({
  fleet: z.string(),
  tenant: z.string(),
  /** Where replicas listen for frontends: any of them serves. */
  addresses: z.array(z.string().regex(/^[^\s:]+:\d{1,5}$/, 'must be host:port')).min(1),
  /** The frontend's certificate and key, and the authority of the replicas' certificates: PEM files. */
  tls: z.strictObject({ ca: z.string(), cert: z.string(), key: z.string() }),
  /** The tenant's grant key: PKCS #8 PEM, and the name under which the replicas have its public half. */
  grant: z.strictObject({ kid: z.string(), key: z.string() }),
  /** SHA-256 of each fleet statement that is trusted. */
  statement_hashes: z.array(z.string().regex(/^[0-9a-f]{64}$/)).min(1),
});

/** What a person at a development fleet needs to be frontend and device at once. Paths in the file are relative to it. */
export type ClientFile = z.infer<typeof schema>;

/** Throws CONFIG_INVALID, naming file and field. */
export function loadClientFile(file: string): ClientFile {
  let document: unknown;
  try {
    document = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `Cannot read the client file ${file}: ${(cause as Error).message}`, { cause });
  }
  const result = schema.safeParse(document);
  if (!result.success) throw new VaultError('CONFIG_INVALID', `The client file ${file} is wrong:\n${z.prettifyError(result.error)}`);
  const { tls, grant, ...rest } = result.data;
  const path = (name: string) => resolve(dirname(file), name);
  return {
    ...rest,
    tls: { ca: path(tls.ca), cert: path(tls.cert), key: path(tls.key) },
    grant: { ...grant, key: path(grant.key) },
  };
}
