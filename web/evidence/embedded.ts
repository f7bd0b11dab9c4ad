import type { EvidenceFiles } from '../../fleet/verify/files.ts';

/** The evidence in this page, or undefined where the page holds none or holds something else. */
export function embeddedFiles(): EvidenceFiles | undefined {
  try {
    const json: unknown = JSON.parse(document.getElementById('evidence')?.textContent ?? 'null');
    if (typeof json !== 'object' || json === null) return undefined;
    return new Map(Object.entries(json).map(([name, base64]) => [name, decode(String(base64))]));
  } catch {
    return undefined;
  }
}

const decode = (base64: string): Uint8Array => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
