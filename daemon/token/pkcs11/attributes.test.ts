import pkcs11js from 'pkcs11js';
import { describe, expect, it } from 'vitest';
import { attributeType, decodeValue, encodeTemplate, type Template, ulongs } from './attributes.ts';
import { nestedTemplate } from './nested.ts';

describe('a template', () => {
  it('puts MODIFIABLE last, wherever it was written', () => {
    const encoded = encodeTemplate({ modifiable: false, label: 'x', token: true });
    expect(encoded.map(({ type }) => type)).toEqual([attributeType('label'), attributeType('token'), attributeType('modifiable')]);
  });

  it('never reaches pkcs11js with a value left out, which would end the process', () => {
    expect(() => encodeTemplate({ label: undefined } as unknown as Template)).toThrow('attribute label has no value');
    expect(() => encodeTemplate({ label: null } as unknown as Template)).toThrow('attribute label has no value');
  });

  it('is read back as it was written', () => {
    const [length, mechanisms, label] = encodeTemplate({ valueLength: 32, allowedMechanisms: [0x2109, 0x80000170], label: 'é' });
    expect(decodeValue('valueLength', length?.value as Buffer)).toBe(32);
    expect(decodeValue('allowedMechanisms', mechanisms?.value as Buffer)).toEqual([0x2109, 0x80000170]);
    expect(decodeValue('label', label?.value as Buffer)).toBe('é');
  });

  it('nests as CK_ATTRIBUTEs whose values lie behind them in the same memory', () => {
    const nested = nestedTemplate({ class: pkcs11js.CKO_SECRET_KEY, sensitive: true });
    expect(nested).toHaveLength(48);
    const words = new BigUint64Array(new Uint8Array(nested).buffer);
    const [type, pointer, length, type2, pointer2, length2] = words;
    expect([type, length, type2, length2]).toEqual([BigInt(pkcs11js.CKA_CLASS), 8n, BigInt(pkcs11js.CKA_SENSITIVE), 1n]);
    expect((pointer2 as bigint) - (pointer as bigint)).toBe(8n);
    const behind = Buffer.from(nested.buffer, nested.byteOffset + 48, 9);
    expect(behind).toEqual(Buffer.concat([ulongs([pkcs11js.CKO_SECRET_KEY]), Buffer.of(1)]));
  });
});
