import { VaultError } from '../../primitives/errors.ts';
import { decompress } from './curve.ts';
import { explained } from './keys/explain-refusal.ts';
import { inForm } from './keys/public-point.ts';
import type { TokenWith } from './keys/replica.ts';
import { derivedX } from './keys/templates.ts';
import { refusedBy } from './pkcs11/failure.ts';
import { ecdh } from './pkcs11/mechanisms.ts';
import { readOut } from './readout.ts';
import { multiple } from './reference.ts';

/** Derives once, and says what of it the token refuses and which field of the profile would help. */
export function explainDerivation({ session, profile, keys }: TokenWith<'oprf'>): void {
  session.withTemporary((keep) => {
    const [derived] = explained(session, {
      what: 'x(k·Q)',
      mechanismField: 'derivePoint; a token without CKD_NULL cannot serve',
      asked: [{ kind: 'derived', template: derivedX(profile) }],
      make: ([template = {}]) => [session.derive(ecdh(inForm(profile.derivePoint, decompress(multiple(1n), 'G'))), keys.oprf, template)],
    });
    if (derived === undefined) throw new RangeError('nothing was derived');
    try {
      readOut(session, profile, keep(derived));
    } catch (error) {
      if (refusedBy(error) === undefined || !(error instanceof VaultError)) throw error;
      throw new VaultError(error.code, `${error.message} Reading x(k·Q) out takes another \`readout\`.`, { cause: error.cause });
    }
  });
}
