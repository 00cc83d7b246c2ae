// Makes of the compiled client the one module that pages load: dist/browser/farlight.js. Where a module has a
// NAME.browser.js beside it, pages get that; what would need Node beyond that stops the build.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';

const forBrowsers = {
  name: 'for-browsers',
  setup({ onResolve }) {
    onResolve({ filter: /^\.{1,2}\/.*\.js$/ }, ({ path, importer }) => {
      const other = join(dirname(importer), path.replace(/\.js$/, '.browser.js'));
      return existsSync(other) ? { path: other } : undefined;
    });
    onResolve({ filter: /^node:/ }, ({ path, importer }) => ({
      errors: [{ text: `${importer} needs ${path}, which no page has` }],
    }));
  },
};

/** @param {string} root the repository's folder, where dist/ is built. */
export async function bundleForBrowsers(root) {
  await build({
    entryPoints: [join(root, 'dist/client/browser/index.js')],
    outfile: join(root, 'dist/browser/farlight.js'),
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: ['chrome111', 'firefox128', 'safari17'],
    minify: true,
    // Errors and devices say what they are by the names of their classes.
    keepNames: true,
    sourcemap: true,
    legalComments: 'none',
    plugins: [forBrowsers],
    logLevel: 'warning',
  });
}
