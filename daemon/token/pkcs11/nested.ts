import koffi from 'koffi';
import { encodeTemplate, type Template, ulongs } from './attributes.ts';

const ATTRIBUTE_LENGTH = 24; // CK_ATTRIBUTE {CK_ULONG type; void *pValue; CK_ULONG ulValueLen}, LP64

/**
 * Lays out an attribute array (CKA_UNWRAP_TEMPLATE), which pkcs11js cannot express: CK_ATTRIBUTEs whose pointers lead to values. The
 * values lie behind the array in the same memory, so that whoever holds the array keeps them alive.
 */
export function nestedTemplate(template: Template): Buffer {
  const attributes = encodeTemplate(template).map(({ type, value }) => ({ type, value: asBytes(value) }));
  const arrayLength = attributes.length * ATTRIBUTE_LENGTH;
  const memory = Buffer.alloc(arrayLength + attributes.reduce((sum, { value }) => sum + value.length, 0));
  const start = BigInt(koffi.address(memory));
  let offset = arrayLength;
  attributes.forEach(({ type, value }, i) => {
    ulongs([type, start + BigInt(offset), value.length]).copy(memory, i * ATTRIBUTE_LENGTH);
    offset += value.copy(memory, offset);
  });
  return memory.subarray(0, arrayLength);
}

const asBytes = (value: boolean | Buffer): Buffer => (typeof value === 'boolean' ? Buffer.of(Number(value)) : value);
