import { describe, expect, it } from 'vitest';
import { faultOf, faultOfMembers, type Member } from './etcd-fault.ts';

const alert =
  'SSL routines:ssl3_read_bytes:sslv3 alert bad certificate:../deps/openssl/ssl/record/rec_layer_s3.c:1601:SSL alert number 42\n (x)';

describe('what etcd says', () => {
  it.each([
    ['8 RESOURCE_EXHAUSTED: etcdserver: mvcc: database space exceeded', 'no_space'],
    ['7 PERMISSION_DENIED: etcdserver: permission denied', 'permission_denied'],
    ['3 INVALID_ARGUMENT: etcdserver: user name is empty', 'authentication_failed'],
    ['16 UNAUTHENTICATED: etcdserver: invalid auth token', 'authentication_failed'],
    ['15 DATA_LOSS: etcdserver: corrupt cluster', 'corrupt'],
    ['14 UNAVAILABLE: etcdserver: no leader', 'no_quorum'],
    ['11 OUT_OF_RANGE: etcdserver: mvcc: required revision has been compacted', 'compacted'],
    [`14 UNAVAILABLE: No connection established. Last error: ${alert}. Resolution note: `, 'certificate_refused'],
    ['14 UNAVAILABLE: No connection established. Last error: Error: unable to verify the first certificate', 'certificate_refused'],
    ['14 UNAVAILABLE: No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:1', undefined],
    ['4 DEADLINE_EXCEEDED: Deadline exceeded after 0.701s', undefined],
    ['8 RESOURCE_EXHAUSTED: etcdserver: too many requests', undefined],
    ['3 INVALID_ARGUMENT: etcdserver: revision of auth store is old', undefined],
  ] as const)('%s', (message, fault) => {
    expect(faultOf(new Error('wrapped', { cause: new Error(message) }))).toBe(fault);
  });
});

describe('what silence means', () => {
  const leads: Member = { answers: true, hasLeader: true, bytes: 1 };
  const lost: Member = { answers: true, hasLeader: false, bytes: 1 };
  const silent: Member = { answers: false, fault: 'unreachable' };
  const refused: Member = { answers: false, fault: 'certificate_refused' };

  it.each([
    [[leads, silent, silent], 'no_quorum'],
    [[leads, silent], 'no_quorum'],
    [[lost, lost, lost], 'no_quorum'],
    [[leads, leads, silent], 'slow'],
    [[leads], 'slow'],
    [[silent, silent, silent], 'unreachable'],
    [[silent, refused, refused], 'certificate_refused'],
  ] as const)('%j', (members, fault) => {
    expect(faultOfMembers(members)).toBe(fault);
  });
});
