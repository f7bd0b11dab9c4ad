import type { StoreFault } from '../../protocol/store-fault.ts';

/** What one member says of itself; the fault where it does not answer. */
export type Member =
  | { readonly answers: true; readonly hasLeader: boolean; readonly bytes: number }
  | { readonly answers: false; readonly fault: StoreFault };

// gRPC's codes do not tell etcd's reasons apart: its own sentences do (rpctypes/error.go), and those of TLS.
const sentences: readonly (readonly [RegExp, StoreFault])[] = [
  [/database space exceeded/, 'no_space'],
  [/corrupt cluster/, 'corrupt'],
  [/permission denied/, 'permission_denied'],
  [/user name is empty|user name not found|invalid auth token|authentication failed|UNAUTHENTICATED/, 'authentication_failed'],
  [/no leader/, 'no_quorum'],
  [/has been compacted/, 'compacted'],
  [/No connection established.*(certificate|SSL|TLS|altnames)/is, 'certificate_refused'],
];

/** What etcd, or TLS, said about a request that failed; undefined where nobody said anything, such as at a deadline. */
export function faultOf(error: unknown): StoreFault | undefined {
  for (let e = error; e instanceof Error; e = e.cause) {
    const { message } = e;
    const known = sentences.find(([sentence]) => sentence.test(message));
    if (known) return known[1];
  }
  return undefined;
}

/** Faults of which etcd says itself that a request did nothing, and that stay until somebody does something. */
export const refusals: ReadonlySet<StoreFault> = new Set(['no_space', 'permission_denied', 'authentication_failed']);

/** Why requests have no answer. `members` are those of the configuration: if these are not all, a majority of them is what counts here. */
export function faultOfMembers(members: readonly Member[]): StoreFault {
  const answering = members.filter((member) => member.answers);
  if (answering.length === 0)
    return members.find((member) => !member.answers && member.fault === 'certificate_refused') ? 'certificate_refused' : 'unreachable';
  if (answering.length <= members.length / 2 || !answering.some(({ hasLeader }) => hasLeader)) return 'no_quorum';
  return 'slow';
}
