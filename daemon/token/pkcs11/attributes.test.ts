import { describe, expect, it } from 'vitest';
import { attributeType, decodeValue, encodeTemplate, fixed, type Template } from './attributes.ts';

describe('a template', () => {
  it('puts MODIFIABLE last, wherever it was written', () => {
    const encoded = encodeTemplate({ modifiable: false, label: 'x', token: true });
    expect(encoded.map(({ type }) => type)).toEqual([attributeType('label'), attributeType('token'), attributeType('modifiable')]);
  });

  it('never reaches pkcs11js with a value left out, which would end the process', () => {
    expect(() => encodeTemplate({ label: undefined } as unknown as Template)).toThrow('attribute label has no value');
    expect(() => encodeTemplate({ label: null } as unknown as Template)).toThrow('attribute label has no value');
  });

  it('has a vendor’s own attributes by number', () => {
    const extras = [
      { attribute: 0xc0000001, value: true },
      { attribute: 0xc0000002, value: 7 },
    ];
    const [, own, another] = encodeTemplate({ token: false, extras });
    expect(own).toEqual({ type: 0xc0000001, value: true });
    expect(decodeValue('valueLength', another?.value as Buffer)).toBe(7);
    expect(encodeTemplate({ token: false, extras: undefined })).toHaveLength(1);
  });

  it('that is fixed is encoded once', () => {
    const template = fixed({ token: false });
    expect(encodeTemplate(template)).toBe(encodeTemplate(template));
    expect(encodeTemplate({ token: false })).not.toBe(encodeTemplate({ token: false }));
  });

  it('is read back as it was written', () => {
    const [length, mechanisms, label] = encodeTemplate({ valueLength: 32, allowedMechanisms: [0x2109, 0x80000170], label: 'é' });
    expect(decodeValue('valueLength', length?.value as Buffer)).toBe(32);
    expect(decodeValue('allowedMechanisms', mechanisms?.value as Buffer)).toEqual([0x2109, 0x80000170]);
    expect(decodeValue('label', label?.value as Buffer)).toBe('é');
  });
});
