declare const brand: unique symbol;

/** A value that passed the one parser that may make it. The brand exists for the compiler only. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** A span of time or a point in time since the Unix epoch, in milliseconds. */
export type Millis = number;
