import pkcs11js from 'pkcs11js';
import type { Brand } from '../../../primitives/brand.ts';
import type { Bytes } from '../../../primitives/bytes.ts';
import { VaultError } from '../../../primitives/errors.ts';
import type { SecretBytes } from '../../../primitives/secret-bytes.ts';
import { type AttributeName, type AttributeValue, attributeType, decodeValue, encodeTemplate, type Template } from './attributes.ts';
import { CKR, meaningOf, notLoggedIn, returnValue, tokenError } from './failure.ts';
import type { Mechanism } from './mechanisms.ts';
import { attempt, type Module, type SlotId } from './module.ts';

export type WrongSignature = readonly number[] | 'any';

export type KeyHandle = Brand<Buffer, 'KeyHandle'>;

/** Any other state is that of some user: vendors have roles of their own. */
const CKS = { RO_PUBLIC_SESSION: 0, RW_PUBLIC_SESSION: 2 } as const;

/** One read/write session, with every call typed and every failure ours. Synchronous: it lives in a worker thread. */
export class TokenSession {
  readonly #module: Module;
  readonly #handle: Buffer;
  /** Session objects made so far; what they leak is given back by C_Finalize only. */
  objectsMade = 0;

  constructor(module: Module, slot: SlotId) {
    this.#module = module;
    this.#handle = attempt('C_OpenSession', () => module.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION));
  }

  /** Logs the application in; another thread may have done so. Throws PIN_REFUSED. */
  login(userType: number, pin: SecretBytes): void {
    try {
      // pkcs11js takes a string, which nobody can wipe: it lives until it is collected.
      this.#module.C_Login(this.#handle, userType, new TextDecoder().decode(pin.expose()));
    } catch (error) {
      if (returnValue(error) === CKR.USER_ALREADY_LOGGED_IN) return;
      const { message } = tokenError(error, 'C_Login');
      // Vendors have words of their own for a wrong PIN and a locked one, and the next attempt may lock it.
      if (meaningOf(error) === 'fault')
        throw new VaultError('PIN_REFUSED', `${message} It may mean the PIN, which is not tried again.`, { cause: error });
      throw tokenError(error, 'C_Login');
    }
  }

  /** Is the application logged in? Throws TOKEN_UNAVAILABLE if not. */
  requireLogin(): void {
    const { state } = attempt('C_GetSessionInfo', () => this.#module.C_GetSessionInfo(this.#handle));
    if (state === CKS.RO_PUBLIC_SESSION || state === CKS.RW_PUBLIC_SESSION) throw notLoggedIn('C_GetSessionInfo');
  }

  /** Logs the application out; private objects in memory go with it. */
  logout(): void {
    attempt('C_Logout', () => this.#module.C_Logout(this.#handle));
  }

  initPin(pin: SecretBytes): void {
    attempt('C_InitPIN', () => this.#module.C_InitPIN(this.#handle, new TextDecoder().decode(pin.expose())));
  }

  close(): void {
    attempt('C_CloseSession', () => this.#module.C_CloseSession(this.#handle));
  }

  generateKey(mechanism: Mechanism, template: Template): KeyHandle {
    return this.#made('C_GenerateKey', () => this.#module.C_GenerateKey(this.#handle, mechanism, encodeTemplate(template)));
  }

  generateKeyPair(
    mechanism: Mechanism,
    publicTemplate: Template,
    privateTemplate: Template,
  ): { publicKey: KeyHandle; privateKey: KeyHandle } {
    const pair = attempt('C_GenerateKeyPair', () =>
      this.#module.C_GenerateKeyPair(this.#handle, mechanism, encodeTemplate(publicTemplate), encodeTemplate(privateTemplate)),
    );
    this.objectsMade += 2;
    return { publicKey: pair.publicKey as KeyHandle, privateKey: pair.privateKey as KeyHandle };
  }

  create(template: Template): KeyHandle {
    return this.#made('C_CreateObject', () => this.#module.C_CreateObject(this.#handle, encodeTemplate(template)));
  }

  copy(key: KeyHandle, changes: Template): KeyHandle {
    return this.#made('C_CopyObject', () => this.#module.C_CopyObject(this.#handle, key, encodeTemplate(changes)));
  }

  derive(mechanism: Mechanism, base: KeyHandle, template: Template): KeyHandle {
    return this.#made('C_DeriveKey', () => this.#module.C_DeriveKey(this.#handle, mechanism, base, encodeTemplate(template)));
  }

  /** `room` is the longest answer expected. */
  wrap(mechanism: Mechanism, wrappingKey: KeyHandle, key: KeyHandle, room: number): Bytes {
    return attempt('C_WrapKey', () => bytesOf(this.#module.C_WrapKey(this.#handle, mechanism, wrappingKey, key, Buffer.alloc(room))));
  }

  decrypt(mechanism: Mechanism, key: KeyHandle, encrypted: Uint8Array): Bytes {
    attempt('C_DecryptInit', () => this.#module.C_DecryptInit(this.#handle, mechanism, key));
    return attempt('C_Decrypt', () =>
      bytesOf(this.#module.C_Decrypt(this.#handle, bufferOf(encrypted), Buffer.alloc(encrypted.length + 16))),
    );
  }

  sign(mechanism: Mechanism, key: KeyHandle, data: Uint8Array, length: number): Bytes {
    attempt('C_SignInit', () => this.#module.C_SignInit(this.#handle, mechanism, key));
    const signature = attempt('C_Sign', () => this.#module.C_Sign(this.#handle, bufferOf(data), Buffer.alloc(length)));
    if (signature.length !== length) throw new VaultError('TOKEN_FAULT', `C_Sign answered ${signature.length} bytes instead of ${length}.`);
    return bytesOf(signature);
  }

  /** `wrong`: the return values by which this token says so. Any other failure is one of the token. */
  verify(mechanism: Mechanism, key: KeyHandle, data: Uint8Array, signature: Uint8Array, wrong: WrongSignature): boolean {
    attempt('C_VerifyInit', () => this.#module.C_VerifyInit(this.#handle, mechanism, key));
    try {
      this.#module.C_Verify(this.#handle, bufferOf(data), bufferOf(signature));
      return true;
    } catch (error) {
      if (saysWrong(error, wrong)) return false;
      throw tokenError(error, 'C_Verify');
    }
  }

  /** The attribute, or undefined if objects of this kind have none. */
  read<Name extends AttributeName>(object: KeyHandle, name: Name): AttributeValue<Name> | undefined {
    try {
      const [answer] = this.#module.C_GetAttributeValue(this.#handle, object, [{ type: attributeType(name) }]);
      return answer === undefined ? undefined : decodeValue(name, answer.value);
    } catch (error) {
      if (returnValue(error) === CKR.ATTRIBUTE_TYPE_INVALID) return undefined;
      throw tokenError(error, 'C_GetAttributeValue');
    }
  }

  /** All of `names` in one round trip; where a token does not give them so, since it lacks one, each by itself. */
  readAll(object: KeyHandle, names: readonly AttributeName[]): { readonly [Name in AttributeName]?: AttributeValue<Name> | undefined } {
    try {
      const answers = this.#module.C_GetAttributeValue(
        this.#handle,
        object,
        names.map((name) => ({ type: attributeType(name) })),
      );
      return Object.fromEntries(names.map((name, i) => [name, decodeValue(name, (answers[i] as { value: Buffer }).value)]));
    } catch (error) {
      if (returnValue(error) !== CKR.ATTRIBUTE_TYPE_INVALID) throw tokenError(error, 'C_GetAttributeValue');
      return Object.fromEntries(names.map((name) => [name, this.read(object, name)]));
    }
  }

  set(object: KeyHandle, changes: Template): void {
    attempt('C_SetAttributeValue', () => this.#module.C_SetAttributeValue(this.#handle, object, encodeTemplate(changes)));
  }

  destroy(object: KeyHandle): void {
    attempt('C_DestroyObject', () => this.#module.C_DestroyObject(this.#handle, object));
  }

  /** At most `limit` objects that match. */
  find(template: Template, limit: number): KeyHandle[] {
    attempt('C_FindObjectsInit', () => this.#module.C_FindObjectsInit(this.#handle, encodeTemplate(template)));
    try {
      return attempt('C_FindObjects', () => this.#module.C_FindObjects(this.#handle, limit)) as KeyHandle[];
    } finally {
      attempt('C_FindObjectsFinal', () => this.#module.C_FindObjectsFinal(this.#handle));
    }
  }

  /** Throws KEY_MISSING for none and, in other words, for more than one. */
  findOne(template: Template, what: string): KeyHandle {
    const [found, second] = this.find(template, 2);
    if (found === undefined) throw new VaultError('KEY_MISSING', `The token holds no ${what}.`);
    if (second !== undefined) throw new VaultError('KEY_MISSING', `The token holds more than one ${what}: none is used.`);
    return found;
  }

  /** Would the token decrypt with this key? Throws if not. For probes. */
  beginDecrypt(mechanism: Mechanism, key: KeyHandle): void {
    attempt('C_DecryptInit', () => this.#module.C_DecryptInit(this.#handle, mechanism, key));
    ended(() => this.#module.C_Decrypt(this.#handle, Buffer.alloc(32), Buffer.alloc(64)));
  }

  beginEncrypt(mechanism: Mechanism, key: KeyHandle): void {
    attempt('C_EncryptInit', () => this.#module.C_EncryptInit(this.#handle, mechanism, key));
    ended(() => this.#module.C_Encrypt(this.#handle, Buffer.alloc(32), Buffer.alloc(64)));
  }

  /**
   * Runs `work` and destroys every key given to `keep`, whatever happens: thousands of live objects slow SoftHSM down, and a key that
   * lives for one call should die with it.
   */
  withTemporary<T>(work: (keep: (key: KeyHandle) => KeyHandle) => T): T {
    const kept: KeyHandle[] = [];
    try {
      return work((key) => {
        kept.push(key);
        return key;
      });
    } finally {
      for (const key of kept) {
        try {
          this.destroy(key);
        } catch {
          // The session is gone, and its objects with it. What `work` returned or threw is the answer.
        }
      }
    }
  }

  #made(operation: string, call: () => Buffer): KeyHandle {
    const key = attempt(operation, call);
    this.objectsMade++;
    return key as KeyHandle;
  }
}

/** The same memory: what is a secret shall be there once. */
const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const bytesOf = (buffer: Buffer): Bytes => new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, buffer.byteLength);

/** What was begun, so that the session is free again. */
function ended(operation: () => unknown): void {
  try {
    operation();
  } catch {
    // It ended the operation, whatever it says of the data.
  }
}

/** Does what C_Verify threw say that the signature is wrong? */
export function saysWrong(error: unknown, wrong: WrongSignature): boolean {
  const value = returnValue(error);
  if (value === undefined) return false;
  return wrong === 'any' ? ['fault', 'failing'].includes(meaningOf(error)) : wrong.includes(value);
}
