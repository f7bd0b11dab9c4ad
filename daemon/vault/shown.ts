import { isVaultError } from '../../primitives/errors.ts';
import type { GrantedPoint } from '../ledger/guarded.ts';
import type { Granted, GrantVerifier } from './grants.ts';

/** Those of the points that a tenant once granted an attempt for, against this generation. The others show nothing. */
export async function shownPoints(
  grants: GrantVerifier,
  { fleet, rid, g }: Pick<Granted, 'fleet' | 'rid' | 'g'>,
  points: readonly GrantedPoint[],
): Promise<GrantedPoint[]> {
  const shown: GrantedPoint[] = [];
  for (const point of points)
    try {
      await grants.verifyShown(point.grant, { fleet, operation: 'begin-recovery', rid, g, authorises: point.pointHash });
      shown.push(point);
    } catch (error) {
      if (!isVaultError(error, 'GRANT_REFUSED')) throw error;
    }
  return shown;
}
