import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { VaultError } from '../primitives/errors.ts';

/** What is known from elsewhere of operator, witness and log, and how strict to be (client/trust-policy.ts). */
const trust = z.strictObject({
  /** PEM files. */
  operator_ca: z.string(),
  witness_ca: z.string(),
  /** A file with the log's vkey. */
  log_key: z.string(),
  /** A file with a vkey of another witness on each line. */
  cosigners: z.string(),
  cosignatures_least: z.int().min(0),
  epoch_least: z.int().min(1),
  checkpoint_age_most_ms: z.int().min(1),
  /** A file that is written: the highest epoch and the last checkpoint seen. */
  memory: z.string(),
});

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
  statement_hashes: z.array(z.string().regex(/^[0-9a-f]{64}$/)).default([]),
  /** In the place of pinned hashes: statements that operator and witness signed. */
  trust: trust.optional(),
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
  const { tls, grant, trust, ...rest } = result.data;
  if (!trust && rest.statement_hashes.length === 0)
    throw new VaultError('CONFIG_INVALID', `The client file ${file} trusts nothing: it needs \`trust\` or \`statement_hashes\`.`);
  const path = (name: string) => resolve(dirname(file), name);
  return {
    ...rest,
    tls: { ca: path(tls.ca), cert: path(tls.cert), key: path(tls.key) },
    grant: { ...grant, key: path(grant.key) },
    ...(trust ? { trust: trustPaths(trust, path) } : {}),
  };
}

const trustPaths = (files: z.infer<typeof trust>, path: (name: string) => string): z.infer<typeof trust> => ({
  ...files,
  operator_ca: path(files.operator_ca),
  witness_ca: path(files.witness_ca),
  log_key: path(files.log_key),
  cosigners: path(files.cosigners),
  memory: path(files.memory),
});
