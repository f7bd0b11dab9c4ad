import { z } from 'zod';
import { statementSchema } from '../../protocol/statement.ts';

/** The public part of a replica's token, as whoever provisioned it reports. */
const provisionedSchema = statementSchema.shape.replicas.element.pick({
  oprf_key: true,
  release_key: true,
  receipt_key: true,
  token: true,
  key_attributes: true,
});

/** The same, with what the token says it can do (PKCS #11 mechanisms, in hexadecimal): what `bkvctl replica provision` prints. */
export const tokenReadingSchema = provisionedSchema.extend({ mechanisms: z.array(z.string()) });

export type TokenReading = z.infer<typeof tokenReadingSchema>;
export type Provisioned = z.infer<typeof provisionedSchema>;
