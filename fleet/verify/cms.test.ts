import {
  Attribute,
  CertificateSet,
  ContentInfo,
  EncapsulatedContent,
  OtherRevocationInfoFormat,
  RevocationInfoChoice,
  RevocationInfoChoices,
  SignedData,
  type SignerInfo,
  SignerInfos,
} from '@peculiar/asn1-cms';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import { beforeAll, expect, test } from 'vitest';
import { utf8 } from '../../primitives/bytes.ts';
import { makeParty, type Party } from '../../test/trust/parties.ts';
import { validityFrom } from '../produce/authority.ts';
import { signSmime, toDer } from '../produce/cms.ts';
import type { CheckCode } from './check-codes.ts';
import { refusalOf } from './checks.ts';
import { parseLayer, verifyLayer } from './cms.ts';
import { parseSmime } from './smime.ts';

// One form is accepted. Each test leaves it in one place, and signs again where the signature covers the place.

let party: Party;
let other: Party;
let good: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  const validity = validityFrom(Date.now());
  [party, other] = [await makeParty('party', validity), await makeParty('other', validity)];
  good = parseSmime(utf8(signSmime(utf8('{"a":1}'), party.signer, Date.now())));
});

const SHA384 = '2.16.840.1.101.3.4.2.2';
const oid = (...bytes: number[]) => Uint8Array.of(0x06, bytes.length, ...bytes).buffer;

type Change = (signed: SignedData, signer: SignerInfo) => void;

function changed(change: Change, resign: boolean): Uint8Array<ArrayBuffer> {
  const signed = AsnConvert.parse(AsnConvert.parse(good, ContentInfo).content, SignedData);
  const signer = signed.signerInfos[0] as SignerInfo;
  change(signed, signer);
  if (resign) {
    const encoded = (signer.signedAttrs ?? []).map((one) => Buffer.from(AsnConvert.serialize(one))).sort(Buffer.compare);
    const body = Buffer.concat(encoded);
    const set = Buffer.concat([Buffer.from(body.length < 0x80 ? [0x31, body.length] : [0x31, 0x81, body.length]), body]);
    signer.signature = new OctetString(toDer(party.signer.key.sign(set)));
  }
  const content = AsnConvert.serialize(signed);
  return new Uint8Array(AsnConvert.serialize(new ContentInfo({ contentType: '1.2.840.113549.1.7.2', content })));
}

function codeOf(der: Uint8Array<ArrayBuffer>): CheckCode | undefined {
  try {
    verifyLayer(parseLayer(der), 'party');
    return undefined;
  } catch (error) {
    return refusalOf(error);
  }
}

const drop = (signer: SignerInfo, type: string) => {
  signer.signedAttrs = (signer.signedAttrs ?? []).filter(({ attrType }) => attrType !== type);
};

test('what was not changed is accepted, signed again or not', () => {
  expect(codeOf(good)).toBeUndefined();
  expect(changed(() => {}, false)).toEqual(good);
  expect(codeOf(changed(() => {}, true))).toBeUndefined();
});

test.each<[string, CheckCode, Change]>([
  [
    'no signer',
    'signature-missing',
    (signed) => {
      signed.signerInfos = new SignerInfos([]);
    },
  ],
  [
    'two signers',
    'bundle-malformed',
    (signed, signer) => {
      signed.signerInfos = new SignerInfos([signer, signer]);
    },
  ],
  [
    'no certificate',
    'bundle-malformed',
    (signed) => {
      signed.certificates = new CertificateSet([]);
    },
  ],
  [
    'two certificates',
    'bundle-malformed',
    (signed) => {
      signed.certificates?.push(...signed.certificates);
    },
  ],
  [
    'a revocation list',
    'bundle-malformed',
    (signed) => {
      const other = new OtherRevocationInfoFormat({ otherRevInfoFormat: '1.2.3', otherRevInfo: Uint8Array.of(5, 0).buffer });
      signed.crls = new RevocationInfoChoices([new RevocationInfoChoice({ other })]);
    },
  ],
  [
    'another version',
    'bundle-malformed',
    (signed) => {
      signed.version = 3;
    },
  ],
  [
    'another version of the signer',
    'bundle-malformed',
    (_, signer) => {
      signer.version = 3;
    },
  ],
  [
    'another content type',
    'bundle-malformed',
    (signed) => {
      signed.encapContentInfo.eContentType = '1.2.840.113549.1.9.16.1.4';
    },
  ],
  [
    'detached content',
    'bundle-malformed',
    (signed) => {
      delete signed.encapContentInfo.eContent;
    },
  ],
  [
    'another digest',
    'bundle-malformed',
    (_, signer) => {
      signer.digestAlgorithm.algorithm = SHA384;
    },
  ],
  [
    'another digest named',
    'bundle-malformed',
    (signed) => {
      (signed.digestAlgorithms[0] as { algorithm: string }).algorithm = SHA384;
    },
  ],
  [
    'another signature algorithm',
    'bundle-malformed',
    (_, signer) => {
      signer.signatureAlgorithm.algorithm = '1.2.840.10045.4.3.3';
    },
  ],
  [
    'attributes that nobody signed',
    'bundle-malformed',
    (_, signer) => {
      signer.unsignedAttrs = [new Attribute({ attrType: '1.2.3', attrValues: [Uint8Array.of(5, 0).buffer] })];
    },
  ],
  ['no signing time', 'bundle-malformed', (_, signer) => drop(signer, '1.2.840.113549.1.9.5')],
  [
    'an attribute more',
    'bundle-malformed',
    (_, signer) => {
      signer.signedAttrs?.push(new Attribute({ attrType: '1.2.3', attrValues: [Uint8Array.of(5, 0).buffer] }));
    },
  ],
  [
    'an attribute for another',
    'bundle-malformed',
    (_, signer) => {
      drop(signer, '1.2.840.113549.1.9.5');
      signer.signedAttrs?.push(new Attribute({ attrType: '1.2.3', attrValues: [Uint8Array.of(5, 0).buffer] }));
    },
  ],
  [
    'a signing time that is none',
    'bundle-malformed',
    (_, signer) => {
      drop(signer, '1.2.840.113549.1.9.5');
      signer.signedAttrs?.unshift(new Attribute({ attrType: '1.2.840.113549.1.9.5', attrValues: [oid(0x2a)] }));
    },
  ],
  [
    'another type signed',
    'bundle-malformed',
    (_, signer) => {
      drop(signer, '1.2.840.113549.1.9.3');
      signer.signedAttrs?.unshift(new Attribute({ attrType: '1.2.840.113549.1.9.3', attrValues: [oid(0x2a, 0x03)] }));
    },
  ],
  [
    'attributes out of order',
    'bundle-malformed',
    (_, signer) => {
      signer.signedAttrs?.reverse();
    },
  ],
  [
    'another serial number',
    'bundle-malformed',
    (_, signer) => {
      const id = signer.sid.issuerAndSerialNumber;
      if (id) id.serialNumber = Uint8Array.of(1).buffer;
    },
  ],
  [
    'a signer without a name',
    'bundle-malformed',
    (_, signer) => {
      delete signer.sid.issuerAndSerialNumber;
      signer.sid.subjectKeyIdentifier = new OctetString(Uint8Array.of(1)) as never;
    },
  ],
  [
    'another digest signed',
    'statement-tampered',
    (_, signer) => {
      drop(signer, '1.2.840.113549.1.9.4');
      const value = AsnConvert.serialize(new OctetString(new Uint8Array(32)));
      signer.signedAttrs?.push(new Attribute({ attrType: '1.2.840.113549.1.9.4', attrValues: [value] }));
    },
  ],
])('refuses %s', (_what, code, change) => {
  expect(codeOf(changed(change, true))).toBe(code);
});

test('refuses another content under the same signature, and another signature over the same content', () => {
  expect(
    codeOf(
      changed((signed) => {
        signed.encapContentInfo.eContent = new EncapsulatedContent({ single: new OctetString(utf8('{"a":2}')) });
      }, false),
    ),
  ).toBe('statement-tampered');
  const strange = (_: SignedData, signer: SignerInfo) => {
    signer.signature = new OctetString(toDer(other.signer.key.sign(utf8('something'))));
  };
  expect(codeOf(changed(strange, false))).toBe('statement-tampered');
});

test('refuses what is not DER, and what is not CMS', () => {
  expect(codeOf(new Uint8Array([...good, 0]))).toBe('bundle-malformed');
  expect(codeOf(new Uint8Array([0x30, 0x80, ...good.slice(4), 0, 0]))).toBe('bundle-malformed');
  expect(codeOf(new Uint8Array())).toBe('bundle-malformed');
  expect(codeOf(new Uint8Array([5, 0]))).toBe('bundle-malformed');
});
