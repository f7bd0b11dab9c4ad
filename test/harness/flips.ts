/** One change of one value inside a structure. */
export interface Flip<T> {
  /** Where: `body.shares.0.mask: last bit`. */
  readonly path: string;
  readonly value: T;
}

/**
 * Every structure that differs from `value` in one leaf: what a table of bound fields is made of, so that a field added to a message
 * or to a transcript's arguments is in the table without anybody thinking of it.
 */
export function* flips<T>(value: T, path = ''): Generator<Flip<T>> {
  for (const { path: at, value: changed } of changesOf(value, path)) yield { path: at, value: changed as T };
}

function* changesOf(value: unknown, path: string): Generator<Flip<unknown>> {
  if (value instanceof Uint8Array) yield* bytes(value, path);
  else if (Array.isArray(value)) yield* list(value, path);
  else if (typeof value === 'object' && value !== null) yield* object(value, path);
  else if (typeof value === 'number') yield { path: `${path} + 1`, value: value + 1 };
  else if (typeof value === 'bigint') yield { path: `${path} + 1`, value: value + 1n };
  else if (typeof value === 'string') yield { path: `${path} longer`, value: `${value}x` };
}

function* bytes(value: Uint8Array, path: string): Generator<Flip<Uint8Array>> {
  yield { path: `${path} longer`, value: Uint8Array.of(...value, 0) };
  if (value.length === 0) return;
  yield { path: `${path} first bit`, value: value.map((byte, i) => (i === 0 ? byte ^ 0x80 : byte)) };
  yield { path: `${path} last bit`, value: value.map((byte, i) => (i === value.length - 1 ? byte ^ 1 : byte)) };
  yield { path: `${path} shorter`, value: value.slice(0, -1) };
}

function* list(value: readonly unknown[], path: string): Generator<Flip<unknown[]>> {
  for (const [i, item] of value.entries())
    for (const flip of changesOf(item, join(path, i))) yield { path: flip.path, value: value.with(i, flip.value) };
  if (value.length > 0) yield { path: `${path} without last`, value: value.slice(0, -1) };
}

function* object(value: object, path: string): Generator<Flip<object>> {
  for (const [key, inner] of Object.entries(value)) {
    if (key.startsWith('$')) continue; // of protobuf-es, not of the message
    for (const flip of changesOf(inner, join(path, key))) {
      const copy = Object.create(Object.getPrototypeOf(value), Object.getOwnPropertyDescriptors(value));
      Object.defineProperty(copy, key, { value: flip.value, enumerable: true, configurable: true, writable: true });
      yield { path: flip.path, value: copy };
    }
  }
}

const join = (path: string, key: string | number) => (path === '' ? `${key}` : `${path}.${key}`);
