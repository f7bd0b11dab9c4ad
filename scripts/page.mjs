// Builds dist/web/evidence/index.html: one file, script and style inside, and a policy that allows these two and nothing else.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..');
const source = join(root, 'web/evidence');
const target = join(root, 'dist/web/evidence');

// zod's messages in 50 languages would be a third of the page.
const englishOnly = {
  name: 'english-only',
  setup: ({ onLoad }) =>
    onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({
      contents: "export { default as en } from './en.js';",
      resolveDir: locales,
    })),
};
const locales = join(root, 'node_modules/zod/v4/locales');

async function bundle(file) {
  const { outputFiles } = await build({
    entryPoints: [join(source, file)],
    bundle: true,
    write: false,
    minify: true,
    format: 'esm',
    target: 'es2022',
    legalComments: 'none',
    logLevel: 'warning',
    plugins: [englishOnly],
  });
  return outputFiles[0].text.trim();
}

const hash = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

const script = (await bundle('main.ts')).replaceAll('</script', '<\\/script');
const style = await bundle('style.css');
const policy = `default-src 'none'; script-src ${hash(script)}; style-src ${hash(style)}; base-uri 'none'; form-action 'none'`;

const page = readFileSync(join(source, 'index.html'), 'utf8')
  .replace('@POLICY@', () => policy)
  .replace('/* style */', () => style)
  .replace('/* script */', () => script);

mkdirSync(target, { recursive: true });
writeFileSync(join(target, 'index.html'), page);
