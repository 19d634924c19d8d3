// Prints the first load after a build and fails when it is over the budget:
// what a browser must fetch before the first letter can be read and answered.
import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

/** Compressed JavaScript and CSS, in bytes (FACE.md, principle 7). */
export const BUDGET_BYTES = 150 * 1024;

/** Name and compressed size of every script and style sheet in dist. Lazy
 * chunks are counted too: answering is part of the first ten minutes. */
export function sizes(dist = './dist/assets/') {
  return readdirSync(dist)
    .filter((f) => /\.(js|css)$/.test(f))
    .map((f) => ({ name: f, bytes: gzipSync(readFileSync(`${dist}${f}`), { level: 9 }).length }));
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const all = sizes();
  for (const f of all) console.log(`${(f.bytes / 1024).toFixed(1).padStart(7)} KB  ${f.name}`);
  const total = all.reduce((n, f) => n + f.bytes, 0);
  console.log(`${(total / 1024).toFixed(1).padStart(7)} KB  of ${BUDGET_BYTES / 1024} KB (gzip)`);
  if (total > BUDGET_BYTES) {
    console.error('over the budget');
    process.exit(1);
  }
}
