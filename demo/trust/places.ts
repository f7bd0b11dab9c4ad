import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { makeSoftHsmDirectory } from '../../daemon/token/softhsm-directory.ts';
import { makeDirectory, PUBLIC, SECRET, writeNew } from '../../fleet/produce/files.ts';
import { replicaConfig } from '../../fleet/produce/replica-config.ts';
import { packageRoot, version } from '../../primitives/package-root.ts';

/** A software token of its own: directory, PINs, and how a process finds it. */
export interface TokenPlace {
  readonly directory: string;
  readonly pinFile: string;
  readonly soPinFile: string;
  readonly environment: { readonly SOFTHSM2_CONF: string };
}

export function makeTokenPlace(directory: string): TokenPlace {
  makeDirectory(directory);
  const pin = () => randomBytes(16).toString('hex');
  return {
    directory,
    pinFile: writeNew(join(directory, 'pin'), pin(), SECRET),
    soPinFile: writeNew(join(directory, 'so-pin'), pin(), SECRET),
    environment: { SOFTHSM2_CONF: makeSoftHsmDirectory(directory, join(packageRoot, 'softhsm/softhsm2.conf')) },
  };
}

/** What a replica's daemon would be configured with, as far as a ceremony looks at it. */
export function makeReplicaPlace(directory: string, fleet: string, index: number): TokenPlace {
  const place = makeTokenPlace(directory);
  const ports = [1, 2, 3].map((i) => ({ frontend: 7400 + 3 * i, peer: 7401 + 3 * i, metrics: 7402 + 3 * i }));
  const config = replicaConfig(
    index,
    {
      ...{ directory, fleet, tenant: 'demo', threshold: 2, ports, etcdEndpoints: ['https://localhost:2379'], profile: 'softhsm2' },
      ...{ settings: {}, software: { version, digest: '' }, progress: () => {}, now: 0 },
      provision: () => Promise.reject(new Error('the ceremony does that')),
    },
    'etcd-ca.crt',
  );
  writeNew(join(directory, 'config.yaml'), config, PUBLIC);
  return place;
}
