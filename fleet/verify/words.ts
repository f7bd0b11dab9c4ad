import { entropyToMnemonic } from '@scure/bip39';
import { wordlist } from '@scure/bip39/wordlists/english.js';
import { fromHex } from '../../primitives/bytes.ts';

/**
 * A SHA-256 hash as 24 English words, to read aloud and compare: BIP-39's list, whose words differ in their first four letters, with
 * its checksum in the last word. All of the hash, so that nobody can find another with the same words.
 */
export const hashWords = (hash: Uint8Array | string): string =>
  entropyToMnemonic(typeof hash === 'string' ? fromHex(hash, 'hash') : hash, wordlist);
