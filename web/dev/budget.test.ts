import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
// @ts-expect-error a build script without types
import { BUDGET_BYTES, sizes } from './budget.mjs';

it('first load stays within the budget', () => {
  expect(existsSync('dist/index.html'), 'run npm run build first').toBe(true);
  const total = (sizes() as { bytes: number }[]).reduce((n, f) => n + f.bytes, 0);
  expect(total).toBeGreaterThan(10_000);
  expect(total).toBeLessThanOrEqual(BUDGET_BYTES);
});

it('the page has nothing inline and asks no other host', () => {
  const html = readFileSync('dist/index.html', 'utf8');
  expect(html).not.toMatch(/<style|style=|<script(?![^>]*\bsrc=)|\son\w+=/i);
  for (const m of html.matchAll(/(?:src|href)="([^"]+)"/g)) expect(m[1]).toMatch(/^\//);
});
