import { type Bytes, concat } from '../../primitives/bytes.ts';

/** The body of an answer, or of a longer one its first `most` bytes and one more or some: waits for no more of it. */
export async function readUpTo(response: Response, most: number): Promise<Bytes> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop early cancels the body, and with it the connection.
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > most) break;
  }
  return concat(...chunks);
}
