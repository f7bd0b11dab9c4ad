import { type KeyName, keyNames } from '../keys/key-sets.ts';
import type { AttributeName, Template } from '../pkcs11/attributes.ts';
import { unprotected, wrapWays } from './host-keys.ts';
import { type Probe, probe } from './probe.ts';

// How a host may try to get a key out of the token, or to make another of it. The attributes it was made with stop all of it.

/** A use that each key does not have, and that would do harm. */
const otherUse: Record<KeyName, AttributeName> = { oprf: 'sign', release: 'sign', mac: 'derive', receipt: 'derive' };

const kinds: Record<KeyName, keyof typeof unprotected> = { oprf: 'deriving', release: 'deriving', mac: 'secret', receipt: 'signing' };

function ofKey(name: KeyName): Probe[] {
  const use = otherUse[name];
  const setting = (what: string, changes: Template): Probe =>
    probe('attributes', what, ({ session, keys }) => session.set(keys[name], changes));
  const copying = (what: string, changes: Template): Probe =>
    probe('copy', what, ({ session, keys }, keep) => keep(session.copy(keys[name], { token: false, ...changes })));
  return [
    probe('attributes', `read the value of ${name}`, ({ session, keys }) => session.read(keys[name], 'value')),
    setting(`make ${name} readable`, { sensitive: false }),
    setting(`make ${name} extractable`, { extractable: true }),
    setting(`make ${name} modifiable`, { modifiable: true }),
    setting(`switch ${use} on for ${name}`, { [use]: true }),
    copying(`copy ${name} to a public object`, { private: false }),
    copying(`copy ${name} as modifiable`, { modifiable: true }),
    copying(`copy ${name} as extractable`, { extractable: true }),
    copying(`copy ${name} with ${use} on`, { [use]: true }),
    {
      name: `wrap ${name} to a key of the host`,
      stoppedBy: 'extractable',
      ways: wrapWays(({ keys }) => keys[name], unprotected[kinds[name]]),
    },
  ];
}

export const keyProbes: readonly Probe[] = keyNames.flatMap(ofKey);
