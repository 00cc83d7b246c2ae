// Makes the bundles of the package: the client as one module for pages, their charts, gRPC as one file for Node, the
// modules of the package as few files, and schemas compiled.
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Ajv } from 'ajv';
import standalone from 'ajv/dist/standalone/index.js';
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

/**
 * Writes dist/browser/farlight.js. Where a module has a NAME.browser.js beside it, pages get that; a module that needs
 * Node beyond that stops the build.
 *
 * @param {string} root the repository's folder, where dist/ is built.
 */
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

/** Writes the charts of pages, dist/page/site/uplot.js and uplot.css, with the licence that stands in the source. */
export async function bundleCharts(root, uplot) {
  const source = join(uplot, 'dist/uPlot.esm.js');
  const [licence] = /^\/\*\*.*?\*\//s.exec(readFileSync(source, 'utf8'));
  await build({
    entryPoints: [source],
    outfile: join(root, 'dist/page/site/uplot.js'),
    format: 'esm',
    minify: true,
    banner: { js: licence },
    logLevel: 'warning',
  });
  cpSync(join(uplot, 'dist/uPlot.min.css'), join(root, 'dist/page/site/uplot.css'));
}

/**
 * Writes dist/grpc/: gRPC for JavaScript, with what it needs, and the licences of each package in it. One file loads in
 * half the time of 300, installs in a tenth of the space, and is the version that the tests ran with.
 */
export async function bundleGrpc(root) {
  const folder = join(root, 'dist/grpc');
  const { resolve } = protobufOf(root);
  const packages = {
    grpc: '@grpc/grpc-js',
    protobuf: resolve('protobufjs/light'),
    loader: '@grpc/proto-loader',
    reflection: '@grpc/reflection',
  };
  // Each is run when it is first used: few processes need the last two.
  const getters = Object.entries(packages).map(
    ([name, from]) => `get ${name}() { return require(${JSON.stringify(from)}); }`,
  );
  const contents = `module.exports = { ${getters.join(', ')} };`;
  const bundled = await build({
    ...ofPackages(root),
    stdin: { contents, resolveDir: root },
    outfile: join(folder, 'grpc.cjs'),
    format: 'cjs',
    plugins: [definitionsBeside],
  });
  const definitions = 'proto/grpc/reflection';
  cpSync(join(root, 'node_modules/@grpc/reflection/build', definitions), join(folder, definitions), {
    recursive: true,
  });
  writeLicences(root, folder, [bundled]);
}

/** Writes the definitions of services as JSON beside their files, .proto.json. */
export function bundleDefinitions(root) {
  const protobuf = protobufOf(root)('protobufjs');
  const keepCase = { 'infer/grpc/open-inference.proto': true };
  for (const path of ['proto/farlight.proto', ...Object.keys(keepCase)]) {
    const text = readFileSync(join(root, path), 'utf8');
    const { root: definitions } = protobuf.parse(text, new protobuf.Root(), { keepCase: keepCase[path] });
    cpSync(join(root, path), join(root, 'dist', path));
    writeFileSync(join(root, 'dist', `${path}.json`), JSON.stringify(definitions.resolveAll().toJSON()));
  }
}

/** `require`, as the package of gRPC that has protobufjs would call it. */
function protobufOf(root) {
  return createRequire(createRequire(join(root, 'package.json')).resolve('@grpc/proto-loader'));
}

/** Packages of hosts and commands, and those that read files of people. Each is a file here, for the same reasons as gRPC. */
const PACKAGES = ['ajv', 'commander', 'pino', 'prom-client', 'ws', 'yaml'];

/** Writes dist/packages/, and has the modules in dist/ import these files, as `#packages/NAME.js`. */
export async function bundlePackages(root) {
  const folder = join(root, 'dist/packages');
  const bundled = [];
  for (const name of PACKAGES) {
    const exports = Object.keys(await import(name)).filter((each) => /^[A-Za-z]\w*$/.test(each));
    bundled.push(
      await build({
        ...ofPackages(root),
        stdin: { contents: `export { ${exports.join(', ')} } from '${name}';`, resolveDir: root },
        outfile: join(folder, `${name}.js`),
        format: 'esm',
        // They are CommonJS, and call `require` for the modules of Node.
        banner: {
          js: "import { createRequire } from 'node:module';\nconst require = createRequire(import.meta.url);",
        },
      }),
    );
  }
  writeLicences(root, folder, bundled);
  const imports = new RegExp(`(\\bfrom |\\bimport\\()'(${PACKAGES.join('|')})'`, 'g');
  for (const path of readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.js') || /^(packages|browser|grpc)[/\\]/.test(path)) continue;
    const text = readFileSync(join(root, 'dist', path), 'utf8');
    const changed = text.replace(imports, (_, before, name) => `${before}'#packages/${name}.js'`);
    if (changed !== text) writeFileSync(join(root, 'dist', path), changed);
  }
}

const ofPackages = (root) => ({
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  metafile: true,
  legalComments: 'inline',
  logLevel: 'warning',
});

/** Writes the licences of all packages that bundles hold. */
function writeLicences(root, folder, bundles) {
  const inputs = bundles.flatMap(({ metafile }) => Object.keys(metafile.inputs));
  const packages = new Set(inputs.map((path) => /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(path)?.[0]));
  packages.delete(undefined);
  const notices = [...packages].sort().map((each) => notice(join(root, each)));
  writeFileSync(join(folder, 'LICENSES.txt'), notices.join(`\n${'-'.repeat(80)}\n\n`));
}

/**
 * The modules that programs import from the package, and the modules of its threads. A class is in one file for all of them.
 */
const LIBRARY = [
  'client/canvas/index',
  'client/cts',
  'client/index',
  'client/onnxruntime',
  'client/register',
  'infer/lanes/functions/function-lane-worker',
  'infer/lanes/gpu/gpu-lane-worker',
  'infer/lanes/shards/shard-lane-worker',
  'pool/attach/attach',
  'pool/index',
  'pool/portal/client/attach-by-portal',
  'shard/index',
  'shard/run/worker',
  'testing/emulation/alarm-thread',
  'testing/emulation/emulator-thread',
  'testing/index',
];

/** Processes and threads of Farlight's own. Each is bundled for itself, so that it loads fast: shared code is in each. */
const PROGRAMS = [
  'cli/commands',
  'cli/pool/job-commands',
  'client/transport/connection-worker',
  'jobs/run/watcher',
  'pool/attach/keeper-thread',
  'pool/engines/cancel-now',
  'pool/engines/local-runner',
  'pool/portal/client/hold-thread',
  'server/executor/main',
];

/**
 * Writes dist/bundle/, which the package has in the place of its modules: Node takes longer to find 200 files than to run
 * them. What a program imports later is in files beside it. Optional packages stay outside. Nothing is minified, for stack traces.
 */
export async function bundleModules(root) {
  await bundleTogether(root, LIBRARY, (path) => `import(packageFile('bundle/${path}').href)`);
  // A program imports other parts of the package as files of their own: else their classes would be there twice.
  for (const program of PROGRAMS) await bundleTogether(root, [program], (path) => `import('../../${path}')`);
  cpSync(join(root, 'dist/cli/main.js'), join(root, 'dist/bundle/cli/main.js'));
}

/** @param importOf what is to stand for an import of a file of the package, by that file's path. */
async function bundleTogether(root, modules, importOf) {
  const [first] = modules;
  await build({
    entryPoints: modules.map((path) => ({ in: join(root, 'dist', `${path}.js`), out: path })),
    outdir: join(root, 'dist/bundle'),
    chunkNames: `chunks/${modules.length === 1 ? first.replaceAll('/', '-') : 'library'}-[hash]`,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    // Errors and devices say what they are by the names of their classes.
    keepNames: true,
    sourcemap: true,
    legalComments: 'none',
    logLevel: 'warning',
    plugins: [importsOf(importOf), packagesWithin],
  });
}

/** Packages that are files of this one (`imports` in package.json). */
const packagesWithin = {
  name: 'packages-within',
  setup({ onResolve }) {
    onResolve({ filter: /^#packages\// }, ({ path }) => ({ path, external: true }));
  },
};

/** The client imports files of the package that are no part of it (`client/transport/open.ts`). */
function importsOf(importOf) {
  return {
    name: 'imports-of-files',
    setup({ onLoad }) {
      onLoad({ filter: /[/\\]client[/\\]transport[/\\]open\.js$/ }, ({ path }) => {
        const text = readFileSync(path, 'utf8');
        const contents = text.replace(/import\(packageFile\('(.+?)'\)\.href\)/g, (_, file) => importOf(file));
        if (contents === text) throw new Error(`${path} imports no file of the package`);
        return { contents };
      });
    },
  };
}

/** The schemas of files that people write. Each is beside the module that reads the file. */
const SCHEMAS = [
  'infer/graph/graph',
  'infer/graph/model',
  'pool/definition/pool',
  'jobs/request/request',
  'jobs/templates/template',
  'jobs/images/image',
  'stream/definition/stream',
];

/** Writes each schema as JSON, for editors (dist/PATH.schema.json), and compiled (dist/PATH.check.cjs). */
export async function bundleSchemas(root) {
  const { SCHEMA_OPTIONS } = await import('../dist/link/files/compile-schema.js');
  for (const path of SCHEMAS) {
    const file = join(root, `${path}.schema.json`);
    cpSync(file, join(root, 'dist', `${path}.schema.json`));
    const ajv = new Ajv({ ...SCHEMA_OPTIONS, code: { source: true } });
    const check = ajv.compile(JSON.parse(readFileSync(file, 'utf8')));
    await build({
      // With the few functions of ajv that it calls.
      stdin: { contents: standalone.default(ajv, check), resolveDir: root },
      outfile: join(root, 'dist', `${path}.check.cjs`),
      bundle: true,
      format: 'cjs',
      platform: 'node',
      target: 'node20',
      legalComments: 'none',
      logLevel: 'warning',
    });
  }
}

/** The reflection service reads its own definition from a file, which lies beside the bundle. */
const definitionsBeside = {
  name: 'definitions-beside',
  setup({ onLoad }) {
    onLoad({ filter: /@grpc[/\\]reflection[/\\]build[/\\]src[/\\].*\.js$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replaceAll("__dirname, '../../proto/", "__dirname, 'proto/"),
    }));
  },
};

/** The name and version of a package in a bundle, with its licence. */
function notice(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
  if (!file) throw new Error(`${name} has no licence to put beside the bundle`);
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), 'utf8')}`;
}
