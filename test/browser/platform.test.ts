import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sha256 as browserHash } from '#farlight/link/machine/sha256.browser.js';
import { sha256 } from '#farlight/link/machine/sha256.js';
import { REPOSITORY } from '../support/repository.js';

/** Modules of which pages have another version. */
const MODULES = ['client', 'link'].flatMap((room) =>
  readdirSync(join(REPOSITORY, 'dist', room), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.browser.js'))
    .map((file) => join(room, file)),
);

describe('modules with a version for pages', () => {
  it.each(MODULES.filter((file) => !/canvas-context/.test(file)))(
    '%s exports the same names as its twin',
    async (file) => {
      const [own, beside] = await Promise.all([
        import(join(REPOSITORY, 'dist', file)),
        import(join(REPOSITORY, 'dist', file.replace('.browser.js', '.js'))),
      ]);
      expect(Object.keys(own).sort()).toEqual(Object.keys(beside).sort());
    },
  );

  it('computes the same SHA-256 as Node, of any parts', () => {
    const part = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
        expect(browserHash(...parts)).toEqual(sha256(...parts));
      }),
    );
    expect(browserHash(new Uint8Array(1_000_003).fill(7))).toEqual(sha256(new Uint8Array(1_000_003).fill(7)));
  });
});
