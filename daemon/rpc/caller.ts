import type { ServerUnaryCall } from '@grpc/grpc-js';
import { VaultError } from '../../primitives/errors.ts';
import { parseTenantUri, replicaUri } from '../../protocol/names.ts';
import type { Statement } from '../../protocol/statement.ts';

type Call = ServerUnaryCall<unknown, unknown>;

/** The tenant that a frontend's certificate names. TLS verified the chain. Throws CALLER_UNKNOWN. */
export function tenantOf(call: Call): string {
  const tenants = urisOf(call)
    .map(parseTenantUri)
    .filter((tenant) => tenant !== undefined);
  if (tenants.length !== 1 || tenants[0] === undefined)
    throw new VaultError('CALLER_UNKNOWN', 'The client certificate must name one tenant, as the URI bkv://tenant/NAME.');
  return tenants[0];
}

/** The replica of this fleet that the caller's certificate names. What it says is believed no more for that. Throws CALLER_UNKNOWN. */
export function replicaOf(call: Call, { fleet, replicas }: Pick<Statement, 'fleet' | 'replicas'>): number {
  const uris = urisOf(call);
  const [named, ...others] = replicas.filter(({ index }) => uris.includes(replicaUri(fleet, index)));
  if (!named || others.length > 0)
    throw new VaultError('CALLER_UNKNOWN', `The client certificate must name one replica, as the URI ${replicaUri(fleet, 1)}.`);
  return named.index;
}

/** Node prints the subject's alternative names as "URI:…, DNS:…", and quotes those that contain what could be mistaken. */
function urisOf(call: Call): string[] {
  const names = call.getAuthContext().sslPeerCertificate?.subjectaltname ?? '';
  return names
    .split(', ')
    .filter((name) => name.startsWith('URI:'))
    .map((name) => name.slice(4));
}
