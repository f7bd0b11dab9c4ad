import type { ServerUnaryCall } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { replicaUri, tenantUri } from '../../protocol/names.ts';
import { SoftFleet } from '../../test/harness/soft-fleet.ts';
import { replicaOf } from './caller.ts';

const { statement, name } = new SoftFleet();
const uri = (index: number, fleet = name) => `URI:${replicaUri(fleet, index)}`;

function callerOf(subjectaltname: string | undefined) {
  const call = { getAuthContext: () => ({ sslPeerCertificate: { subjectaltname } }) };
  return () => replicaOf(call as unknown as ServerUnaryCall<unknown, unknown>, statement);
}

it('is the replica that the certificate names, beside whatever host', () => {
  for (const index of [1, 2, 3]) expect(callerOf(`DNS:localhost, ${uri(index)}`)()).toBe(index);
});

it.each<[string, string | undefined]>([
  ['nothing', undefined],
  ['a host alone', 'DNS:localhost'],
  ['a replica that the statement does not name', uri(4)],
  ['a replica of another fleet', uri(1, 'another')],
  ['a tenant', `URI:${tenantUri('acme')}`],
  ['two replicas', `${uri(2)}, ${uri(3)}`],
  ['a host that looks like one', `DNS:${uri(2)}`],
])('is nobody where it names %s', (_, names) => {
  expect(callerOf(names)).toThrow(expect.objectContaining({ code: 'CALLER_UNKNOWN' }));
});
