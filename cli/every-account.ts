import type { VaultTransport } from '../client/transport.ts';

/** A frontend whose one user is signed in to every account: whoever runs a command against a development fleet, and tests. */
export function everyAccount(transportFor: (account: string) => VaultTransport): VaultTransport {
  const any = transportFor('');
  return {
    getFleet: (request) => any.getFleet(request),
    describeRecord: (request) => transportFor(request.recordId).describeRecord(request),
    beginEnrollment: (request) => transportFor(request.recordId).beginEnrollment(request),
    finishEnrollment: (request) => transportFor(request.recordId).finishEnrollment(request),
    beginRecovery: (request) => transportFor(request.recordId).beginRecovery(request),
    finishRecovery: (request) => transportFor(request.recordId).finishRecovery(request),
    putList: (request) => transportFor(request.recordId).putList(request),
    decideHold: (request) => transportFor(request.recordId).decideHold(request),
    eraseRecord: (request) => transportFor(request.recordId).eraseRecord(request),
  };
}
