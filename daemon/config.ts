import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { VaultError } from '../primitives/errors.ts';
import { profilePath } from '../primitives/package-root.ts';
import { MAX_ATTEMPTS, MAX_REPLICAS } from '../protocol/body.ts';

const address = z.string().regex(/^[^\s:]+:\d{1,5}$/, 'must be host:port');
const milliseconds = z.int().min(0);

/** The configuration in a file of the directory `base`, to which paths in it are relative. */
function schemaIn(base: string) {
  const path = z.string().transform((file) => resolve(base, file));
  /** Certificate, key and trusted issuers, as PEM files. */
  const tls = z.strictObject({ cert: path, key: path, ca: path });
  return z.strictObject({
    /** This replica's index in the fleet statement. */
    replica: z.int().min(1).max(MAX_REPLICAS),
    /** The fleet statement, canonical JSON. */
    statement: path,
    listen: z.strictObject({
      frontend: address,
      peer: address,
      /** Prometheus metrics over plain HTTP; leave out for none. */
      metrics: address.optional(),
    }),
    tls: z.strictObject({
      /** Certificate shown to frontends; `ca` issues the frontends' certificates. */
      frontend: tls,
      /** Certificate shown to and by replicas; `ca` issues the replicas' certificates. */
      peer: tls,
    }),
    /** Where the other replicas listen for peers. */
    peers: z.array(z.strictObject({ index: z.int().min(1).max(MAX_REPLICAS), address })),
    etcd: z.strictObject({
      endpoints: z.array(z.url({ protocol: /^https$/ })).min(1),
      tls,
      /** etcd's --quota-backend-bytes; at three quarters of it no new records are taken. */
      quota_bytes: z
        .int()
        .min(1)
        .default(2 * 1024 ** 3),
    }),
    token: z.strictObject({
      /** A file of hsm-config/ without its ending, or a path. */
      profile: z.string().transform((profile) => (profile.includes('/') ? resolve(base, profile) : profilePath(profile))),
      /** The PKCS#11 module, where it is not at one of the profile's places. */
      module: z.string().optional(),
      /** Where the module keeps its tokens, for a profile whose module is told at its initialisation (NSS softokn). */
      directory: path.prefault('token'),
      label: z.string(),
      /** A file with the user PIN; `credential:NAME` reads systemd's $CREDENTIALS_DIRECTORY/NAME. */
      pin_file: z.string().transform((file) => (file.startsWith('credential:') ? file : resolve(base, file))),
    }),
    /** Directory of the guard store. */
    guard: path,
    tenants: z
      .array(
        z.strictObject({
          name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/),
          /** Keys that verify the tenant's grants: SPKI PEM files, P-256 or Ed25519. */
          grant_keys: z
            .array(
              z.strictObject({
                kid: z.string(),
                file: path,
                /** Allows nothing any more. It still shows which attempts were asked for, to a replica that missed them. */
                retired: z.boolean().default(false),
              }),
            )
            .min(1),
        }),
      )
      .min(1),
    /** What a client may choose. */
    bounds: z
      .strictObject({
        limit_most: z.int().min(1).max(MAX_ATTEMPTS).default(10),
        cool_down_least_ms: milliseconds.default(0),
      })
      .prefault({}),
    /** How long an exhausted record stays, so that a recovery under way may finish. */
    erase_grace_ms: milliseconds.default(24 * 3600 * 1000),
    /** How long a ticket of BeginEnrollment is good: no longer than tickets are made with one secret (vault/ticket-secrets.ts). */
    ticket_life_ms: milliseconds.max(60 * 60 * 1000).default(10 * 60 * 1000),
    /** How often housekeeping looks for exhausted records. */
    sweep_interval_ms: z
      .int()
      .min(100)
      .default(60 * 1000),
    /** How often a replica looks in etcd for a newer validation bundle. */
    bundle_interval_ms: z
      .int()
      .min(100)
      .default(60 * 1000),
    log_level: z.enum(['error', 'warn', 'info', 'debug']).default('info'),
  });
}

export type Config = z.infer<ReturnType<typeof schemaIn>>;

/** Reads a replica's configuration. Paths in it are relative to the file. Throws CONFIG_INVALID, naming file and field. */
export function loadConfig(file: string): Config {
  let document: unknown;
  try {
    document = parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `Cannot read the configuration ${file}: ${(cause as Error).message}`, { cause });
  }
  const result = schemaIn(dirname(resolve(file))).safeParse(document);
  if (!result.success) throw new VaultError('CONFIG_INVALID', `The configuration ${file} is wrong:\n${z.prettifyError(result.error)}`);
  return result.data;
}
