import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { VaultError } from '../primitives/errors.ts';

/** `file` is a path in the file, relative to it. */
const schemaOf = (file: z.ZodType<string>) =>
  z.strictObject({
    fleet: z.string(),
    tenant: z.string(),
    /** Where replicas listen for frontends: any of them serves. */
    addresses: z.array(z.string().regex(/^[^\s:]+:\d{1,5}$/, 'must be host:port')).min(1),
    /** The frontend's certificate and key, and the authority of the replicas' certificates: PEM files. */
    tls: z.strictObject({ ca: file, cert: file, key: file }),
    /** The tenant's grant key: PKCS #8 PEM, and the name under which the replicas have its public half. */
    grant: z.strictObject({ kid: z.string(), key: file }),
    /** SHA-256 of each fleet statement that is trusted. */
    statement_hashes: z.array(z.string().regex(/^[0-9a-f]{64}$/)).default([]),
    /**
     * In the place of pinned hashes: statements that operator and witness signed. What is known from elsewhere of operator, witness and
     * log, and how strict to be (client/trust-policy.ts).
     */
    trust: z
      .strictObject({
        /** PEM files. */
        operator_ca: file,
        witness_ca: file,
        /** The log's key, other witnesses, and which of them must have cosigned: a file of c2sp.org/tlog-policy. */
        log_policy: file,
        epoch_least: z.int().min(1),
        operators_least: z.int().min(1),
        checkpoint_age_most_ms: z.int().min(1),
        /** A file that is written: the highest epoch and the last checkpoint seen. */
        memory: file,
      })
      .optional(),
  });

/** What a person at a development fleet needs to be frontend and device at once. */
export type ClientFile = z.infer<ReturnType<typeof schemaOf>>;

/** Throws CONFIG_INVALID, naming file and field. */
export function loadClientFile(file: string): ClientFile {
  let document: unknown;
  try {
    document = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `Cannot read the client file ${file}: ${(cause as Error).message}`, { cause });
  }
  const result = schemaOf(z.string().transform((path) => resolve(dirname(file), path))).safeParse(document);
  if (!result.success) throw new VaultError('CONFIG_INVALID', `The client file ${file} is wrong:\n${z.prettifyError(result.error)}`);
  if (!result.data.trust && result.data.statement_hashes.length === 0)
    throw new VaultError('CONFIG_INVALID', `The client file ${file} trusts nothing: it needs \`trust\` or \`statement_hashes\`.`);
  return result.data;
}
