import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { provisionReplica } from '../../daemon/token/keys/provision.ts';
import { openReplica } from '../../daemon/token/keys/replica.ts';
import { openToken } from '../../daemon/token/open-token.ts';
import { finalise } from '../../daemon/token/pkcs11/module.ts';
import { inspectInChild } from '../../daemon/token/probe/hsm-probe.ts';
import { notes } from '../../daemon/token/probe/verdict.ts';
import type { Profile } from '../../daemon/token/profile.ts';
import { multiple } from '../../daemon/token/reference.ts';
import { enrol, recover, ticketFields } from '../../daemon/token/software-device.ts';
import { behindShim, compileFaultShim, Faults } from '../harness/fault-shim.ts';
import { makeBlankToken, pin, storedPin } from '../harness/test-token.ts';

// Each option of a profile, with a device that cannot serve without it: SoftHSM2 behind a shim that refuses what such a device refuses.

const { location, directory } = makeBlankToken(afterAll, 'softhsm2');
const conf = process.env.SOFTHSM2_CONF as string;
const faults = new Faults(conf);
Object.assign(process.env, behindShim(location.module));
const module = compileFaultShim(directory);
afterEach(() => faults.none());

const { profile: plain } = location;
let index = 0;

/** Provisions a replica, which tests it as a daemon does at its start, and lets a record live. */
function serve(changes: Partial<Profile>): void {
  const place = { ...location, module, index: ++index, profile: { ...plain, ...changes } };
  provisionReplica({ ...place, pin: pin() });
  const token = openReplica(place, pin());
  try {
    const enrolled = enrol(token);
    expect(recover(token, enrolled)).toEqual(enrolled.opened);
  } finally {
    finalise(token.module);
  }
}

const CKA = { private: 0x2, sensitive: 0x103, derive: 0x10c, copyable: 0x171, destroyable: 0x172 } as const;
const MECHANISM_INVALID = 0x70;
const [ATTRIBUTE_TYPE_INVALID, TEMPLATE_INCOMPLETE, TEMPLATE_INCONSISTENT] = [0x12, 0xd0, 0xd1];
const [DER, RAW] = [67, 65];

const showsNothing = `deny ${TEMPLATE_INCONSISTENT} C_DeriveKey ${CKA.sensitive} 0`;
const toSend = (...send: Profile['deriveTemplate']['send']): Partial<Profile> => ({ deriveTemplate: { send } });
const everything = plain.deriveTemplate.send;
const without = (name: string): Partial<Profile> => toSend(...everything.filter((each) => each !== name));

interface Device {
  /** What it refuses. */
  readonly refuses: readonly string[];
  readonly needs: Partial<Profile>;
  /** What the error says without. */
  readonly says: RegExp;
}

const devices: Record<string, Device> = {
  'shows no derived value, and one AES key wraps and decrypts (Luna, Utimaco): readout wrap-decrypt': {
    refuses: [showsNothing],
    needs: { readout: { way: 'wrap-decrypt', wrap: 0x1082, decrypt: 0x1082, iv: 'zero' } },
    says: /deriveTemplate|readout/,
  },
  'shows no derived value, and wraps by RSA-OAEP alone (AWS): readout oaep': {
    refuses: [showsNothing, `deny ${MECHANISM_INVALID} C_WrapKey mechanism 0x1082`],
    needs: { readout: { way: 'oaep', hash: 'sha1' } },
    says: /deriveTemplate|readout/,
  },
  'takes no public key from outside (YubiHSM 2): verify host': {
    refuses: ['deny 0x54 C_CreateObject 0x100 3'], // CKA_KEY_TYPE, CKK_EC
    needs: { verify: 'host' },
    says: /C_CreateObject/,
  },
  'takes no public keys that are not PRIVATE (AWS): private': {
    refuses: ['C_GenerateKeyPair', 'C_CreateObject'].map((call) => `deny ${TEMPLATE_INCONSISTENT} ${call} ${CKA.private} 0`),
    needs: { private: { ...plain.private, publicKey: true } },
    says: /private\.publicKey/,
  },
  'derives nothing that is PRIVATE: private.derived': {
    refuses: [`deny ${TEMPLATE_INCONSISTENT} C_DeriveKey ${CKA.private} 1`],
    needs: { private: { ...plain.private, derived: false } },
    says: /deriveTemplate|private/,
  },
  'takes no PRIVATE in a derivation: deriveTemplate.send': {
    refuses: [0, 1].map((value) => `deny ${ATTRIBUTE_TYPE_INVALID} C_DeriveKey ${CKA.private} ${value}`),
    needs: without('private'),
    says: /without private.*deriveTemplate\.send/,
  },
  'wants an attribute of its own in a derivation (nShield): deriveTemplate.extras': {
    refuses: [`deny ${TEMPLATE_INCOMPLETE} C_DeriveKey without ${CKA.derive}`],
    needs: { deriveTemplate: { send: everything, extras: [{ attribute: CKA.derive, value: false }] } },
    says: /C_DeriveKey/,
  },
  'knows no COPYABLE and no DESTROYABLE: neverSend': {
    refuses: ['C_GenerateKeyPair', 'C_GenerateKey'].flatMap((call) => [
      `deny ${ATTRIBUTE_TYPE_INVALID} ${call} ${CKA.copyable} 0`,
      `deny ${ATTRIBUTE_TYPE_INVALID} ${call} ${CKA.destroyable} 1`,
    ]),
    needs: { neverSend: { publicKey: [], privateKey: ['copyable', 'destroyable'], secretKey: ['copyable', 'destroyable'] } },
    says: /C_GenerateKey/,
  },
  'has points without a frame (Kryoptic): readPoint': { refuses: ['raw-points'], needs: { readPoint: 'raw' }, says: /readPoint/ },
  'takes points in a frame alone (Luna): derivePoint': {
    refuses: [`deny 0x71 C_DeriveKey point ${RAW}`],
    needs: { derivePoint: 'der' },
    says: /derivePoint/,
  },
  'makes HMAC keys of a type, and by a mechanism, of their own (nShield): hmac': {
    refuses: ['hmac-dialect 0xDE436997'],
    needs: { hmac: { keyType: 'sha256-hmac', generate: 0xde436997 } },
    says: /hmac\.generate/,
  },
};

describe.each(Object.entries(devices))('a device that %s', (_, { refuses, needs, says }) => {
  it('is refused without, and the error names what would help', () => {
    faults.set(...refuses);
    const isPrivate = needs.private?.derived === false;
    const unfit = () => serve(isPrivate ? { private: { ...plain.private, derived: true } } : {});
    expect(unfit).toThrow(expect.objectContaining({ name: 'VaultError', message: expect.stringMatching(says) }));
  });

  it('serves with it', () => {
    faults.set(...refuses);
    expect(() => serve(needs)).not.toThrow();
  });
});

it('a device that takes the bare point alone is refused by a profile that frames it', () => {
  faults.set(`deny 0x71 C_DeriveKey point ${DER}`);
  expect(() => serve({ derivePoint: 'der' })).toThrow(expect.objectContaining({ message: expect.stringMatching(/derivePoint/) }));
  expect(() => serve({ derivePoint: 'raw' })).not.toThrow();
});

it('a module that reads a variable finds its token with environment, and without it none', async () => {
  delete process.env.SOFTHSM2_CONF; // of the children that load the module
  try {
    const labels = async (environment: Record<string, string>) => {
      const { slots } = await inspectInChild({ module: location.module, profile: { ...plain, environment } });
      return slots.map(({ label }) => label);
    };
    expect(await labels({})).not.toContain('test');
    expect(await labels({ SOFTHSM2_CONF: conf })).toContain('test');
  } finally {
    process.env.SOFTHSM2_CONF = conf;
  }
});

it('a module whose C_Finalize harms other threads (openCryptoki) is left to the end of the process with finalise: false', async () => {
  const place = { ...location, module, index: ++index };
  provisionReplica({ ...place, pin: pin() });
  const finalised = async (changes: Partial<Profile>) => {
    const token = await openToken({ ...place, profile: { ...plain, recycleAfterObjects: 1, ...changes }, pin: storedPin });
    const before = faults.calls('C_Finalize');
    const asked = { rid: randomBytes(32), g: randomBytes(16), seed: randomBytes(32), point: multiple(7n), ...ticketFields(5n) };
    for (let i = 0; i < 3; i++) await token.offer(asked); // it makes objects, and so has the module recycled
    await token.close();
    return faults.calls('C_Finalize') - before;
  };
  expect(await finalised({ finalise: false })).toBe(0);
  expect(await finalised({})).toBeGreaterThan(1);
});

it('keystore says what destroying a set of keys takes', () => {
  expect(notes({ ...plain, keystore: 'host-blob' })).toEqual([expect.stringMatching(/every copy of those files/)]);
  expect(notes({ ...plain, keystore: 'device' })).toEqual([]);
});
