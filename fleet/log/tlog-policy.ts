import { type Bytes, fromUtf8, toHex } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { parseDecimal } from './checkpoint.ts';
import { type NoteKey, parseNoteKey } from './note-key.ts';
import type { Quorum } from './quorum.ts';

/** A trust policy (c2sp.org/tlog-policy): lines `log`, `witness`, `group` and one `quorum`. Names and URLs in it mean nothing outside. */
export interface TlogPolicy {
  /** Type 0x01. */
  readonly logs: readonly NoteKey[];
  /** Type 0x04 or 0x06; those of the quorum are the same objects. */
  readonly witnesses: readonly NoteKey[];
  readonly quorum: Quorum;
}

/** Of each kind of line; the specification asks for 32 at least. */
const LINES_MOST = 64;

/**
 * Throws MALFORMED, naming the line, for whatever the specification does not allow, for a log that does not sign with Ed25519, and for
 * more than 64 logs, witnesses or groups.
 */
export function parseTlogPolicy(bytes: Uint8Array): TlogPolicy {
  const text = octets(bytes);
  if (!text.endsWith('\n')) throw malformed('its last line does not end');
  const reader = new Reader();
  for (const [i, line] of text.slice(0, -1).split('\n').entries()) {
    try {
      reader.read(line);
    } catch (cause) {
      throw malformed(`line ${i + 1}: ${(cause as Error).message}`, cause);
    }
  }
  return reader.policy();
}

class Reader {
  readonly #logs: NoteKey[] = [];
  readonly #witnesses: NoteKey[] = [];
  /** Witnesses and groups have their names in common. */
  readonly #named = new Map<string, Quorum>();
  readonly #members = new Set<string>();
  #groups = 0;
  #quorum: Quorum | undefined;

  /** Throws Error, or MALFORMED, saying what is wrong. */
  read(line: string): void {
    if (/[^\t\x20-\x7e\x80-\xff]/.test(line)) throw new Error('it has a control character.');
    const [keyword, ...items] = line.split(/[ \t]+/).filter(Boolean);
    if (keyword === undefined || keyword.startsWith('#')) return;
    if (keyword === 'log') this.#log(items);
    else if (keyword === 'witness') this.#witness(items);
    else if (keyword === 'group') this.#group(items);
    else if (keyword === 'quorum') this.#setQuorum(items);
    else throw new Error('it begins with none of log, witness, group and quorum.');
  }

  policy(): TlogPolicy {
    if (!this.#quorum) throw malformed('it has no quorum');
    return { logs: this.#logs, witnesses: this.#witnesses, quorum: this.#quorum };
  }

  #log([vkey, _url, ...more]: string[]): void {
    if (vkey === undefined || more.length > 0) throw new Error('a log has a key and, perhaps, a URL.');
    const key = parseVkey(vkey);
    if (key.type !== 1) throw new Error('this is the key of a cosigner; a log has one of type 1.');
    addKey(this.#logs, key);
  }

  #witness([name, vkey, _url, ...more]: string[]): void {
    if (name === undefined || vkey === undefined || more.length > 0) throw new Error('a witness has a name, a key and, perhaps, a URL.');
    const key = parseVkey(vkey);
    if (key.type === 1) throw new Error('this is the key of a log (type 1); a witness has one of type 4 or 6.');
    addKey(this.#witnesses, key);
    this.#name(name, { kind: 'witness', key });
  }

  #group([name, threshold, ...names]: string[]): void {
    if (name === undefined || threshold === undefined || names.length === 0)
      throw new Error('a group has a name, a threshold and one member at least.');
    if (++this.#groups > LINES_MOST) throw new Error(`there are ${LINES_MOST} groups at most.`);
    const members = names.map((member) => this.#member(member));
    const least = leastOf(threshold, members.length);
    this.#name(name, { kind: 'group', least, members });
  }

  #setQuorum([name, ...more]: string[]): void {
    if (name === undefined || more.length > 0) throw new Error('a quorum has one name.');
    if (this.#quorum) throw new Error('there is a quorum already.');
    this.#quorum = name === 'none' ? { kind: 'group', least: 0, members: [] } : this.#find(name);
  }

  #name(name: string, meaning: Quorum): void {
    if (name === 'none' || this.#named.has(name)) throw new Error(`the name ${name} is taken.`);
    this.#named.set(name, meaning);
  }

  /** Each name once in the whole policy, so that nobody counts twice. */
  #member(name: string): Quorum {
    const member = this.#find(name);
    if (this.#members.has(name)) throw new Error(`${name} is a member of a group already.`);
    this.#members.add(name);
    return member;
  }

  #find(name: string): Quorum {
    const found = this.#named.get(name);
    if (!found) throw new Error(`no line before it defines ${name}.`);
    return found;
  }
}

function leastOf(threshold: string, members: number): number {
  if (threshold === 'all') return members;
  if (threshold === 'any') return 1;
  const least = parseDecimal(threshold, 'The threshold of a group');
  if (least < 1 || least > members) throw new Error(`the threshold is from 1 to the number of members, ${members}.`);
  return least;
}

/** One key under two names, or of two types, would count twice. */
function addKey(keys: NoteKey[], key: NoteKey): void {
  if (keys.length >= LINES_MOST) throw new Error(`there are ${LINES_MOST} logs, and as many witnesses, at most.`);
  if (keys.some(({ publicKey }) => toHex(publicKey) === toHex(key.publicKey))) throw new Error('its key stands in a line before.');
  keys.push(key);
}

/** A character for each byte: names are opaque, and compared as they are. */
const octets = (bytes: Uint8Array): string => Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');

const parseVkey = (text: string): NoteKey =>
  parseNoteKey(fromUtf8(Uint8Array.from(text, (character) => character.charCodeAt(0)) as Bytes, 'The key'));

const malformed = (why: string, cause?: unknown) =>
  new VaultError('MALFORMED', `This is not a trust policy (tlog-policy): ${why.replace(/\.$/, '')}.`, { cause });
