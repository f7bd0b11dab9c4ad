import { VaultError } from '../../../primitives/errors.ts';
import { type AttributeName, attributeNames, type Template } from '../pkcs11/attributes.ts';
import { refusedBy } from '../pkcs11/failure.ts';
import type { KeyHandle, TokenSession } from '../pkcs11/session.ts';
import type { KeyClass } from './templates.ts';

/** A template that a call sends, and of what. */
export interface Asked {
  readonly kind: KeyClass | 'derived';
  readonly template: Template;
}

interface Making {
  /** In words. */
  readonly what: string;
  /** The field of the profile that names another mechanism, or another parameter of it. */
  readonly mechanismField: string | undefined;
  readonly asked: readonly Asked[];
  /** Makes objects of the templates, which are in the order of `asked`. */
  readonly make: (templates: readonly Template[]) => KeyHandle[];
}

/**
 * Makes objects. Where the token refuses, the error says which attribute or mechanism it is, and which field of the profile would help: no
 * token names an attribute, so each is left out in turn, and what is made so is destroyed at once.
 */
export function explained(session: TokenSession, { what, mechanismField, asked, make }: Making): KeyHandle[] {
  const templates = asked.map(({ template }) => template);
  try {
    return make(templates);
  } catch (error) {
    switch (refusedBy(error)) {
      case 'mechanism':
        throw because(error, `${what} takes another mechanism or parameter: ${mechanismField ?? 'no field of a profile names one'}.`);
      case 'attribute':
        throw because(error, `${what}: ${explainTemplates(session, asked, make)}`);
      case undefined:
        throw error;
    }
  }
}

function explainTemplates(session: TokenSession, asked: readonly Asked[], make: Making['make']): string {
  const templates = asked.map(({ template }) => template);
  const found = asked.flatMap(({ kind, template }, i) =>
    candidatesOf(template)
      .filter(([, changed]) => works(session, () => make(templates.with(i, changed))))
      .map(([name]) => `without ${name} (${fieldFor(kind, name)})`),
  );
  if (found.length > 0) return `the token makes it ${found.join(', or ')}.`;
  const sent = asked.map(({ kind, template }) => `${kind}: ${[...attributeNames(template)].join(', ')}`);
  return `no attribute alone is to blame of those sent (${sent.join('; ')}).`;
}

/** The template without one attribute, for each. */
function candidatesOf(template: Template): [AttributeName | 'extras', Template][] {
  const names: (AttributeName | 'extras')[] = [...attributeNames(template), ...(template.extras ? (['extras'] as const) : [])];
  return names.map((name) => [name, Object.fromEntries(Object.entries(template).filter(([other]) => other !== name))]);
}

function works(session: TokenSession, make: () => KeyHandle[]): boolean {
  let made: KeyHandle[];
  try {
    made = make();
  } catch (error) {
    if (refusedBy(error) === undefined) throw error;
    return false;
  }
  for (const object of made) session.destroy(object);
  return true;
}

function fieldFor(kind: Asked['kind'], name: AttributeName | 'extras'): string {
  if (kind === 'derived') return ofDerived[name] ?? 'deriveTemplate.send';
  if (name === 'keyType' && kind === 'secretKey') return 'hmac.keyType';
  if (name === 'private') return `private.${kind}, neverSend.${kind}`;
  return `neverSend.${kind}`;
}

const ofDerived: Readonly<Record<string, string>> = {
  private: 'private.derived, deriveTemplate.send',
  sensitive: 'readout, deriveTemplate.send',
  extractable: 'readout, deriveTemplate.send',
  extras: 'deriveTemplate.extras',
};

const because = (error: unknown, why: string): VaultError => {
  const { code, message, cause } = error as VaultError;
  return new VaultError(code, `${message} Making ${why}`, { cause });
};
