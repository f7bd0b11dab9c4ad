import { type Bytes, concat } from '../../primitives/bytes.ts';

/** The body of an answer. Throws for a longer one, and waits for no more of it. */
export async function readAtMost(response: Response, most: number): Promise<Bytes> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop early cancels the body, and with it the connection.
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > most) throw new Error(`its answer has more than ${most} bytes`);
    chunks.push(chunk);
  }
  return concat(...chunks);
}
