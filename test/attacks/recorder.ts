import type { VaultTransport } from '../../client/transport.ts';

type Method = keyof VaultTransport;

/** One message on the wire. */
interface Sent {
  readonly method: Method;
  readonly from: 'client' | 'vault';
  readonly message: object;
}

/** A transport on which somebody listens, in both directions. */
export function overheard(transport: VaultTransport, heard: (sent: Sent) => void): VaultTransport {
  const call =
    <Request extends object, Reply extends object>(method: Method, send: (request: Request) => Promise<Reply>) =>
    async (request: Request): Promise<Reply> => {
      heard({ method, from: 'client', message: request });
      const reply = await send(request);
      heard({ method, from: 'vault', message: reply });
      return reply;
    };
  return {
    getFleet: call('getFleet', (request) => transport.getFleet(request)),
    describeRecord: call('describeRecord', (request) => transport.describeRecord(request)),
    beginEnrollment: call('beginEnrollment', (request) => transport.beginEnrollment(request)),
    finishEnrollment: call('finishEnrollment', (request) => transport.finishEnrollment(request)),
    beginRecovery: call('beginRecovery', (request) => transport.beginRecovery(request)),
    finishRecovery: call('finishRecovery', (request) => transport.finishRecovery(request)),
    putList: call('putList', (request) => transport.putList(request)),
    decideHold: call('decideHold', (request) => transport.decideHold(request)),
    eraseRecord: call('eraseRecord', (request) => transport.eraseRecord(request)),
  };
}
