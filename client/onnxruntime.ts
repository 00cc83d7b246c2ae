/**
 * `node --import farlight/onnxruntime app.mjs` replaces ONNX Runtime's native build, npm `onnxruntime-node`,
 * with ONNX Runtime Web, which computes on `navigator.gpu`. On Node, transformers.js and libraries above it
 * load the native build.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, isAbsolute, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { FarlightError } from '../proto/errors.js';
import { replaceModule } from './node/replace-module.js';

/** The package, or a file of it: `import` asks for the file by its path. */
const NATIVE = /(^|[/\\])onnxruntime-node([/\\]|$)/;

/** The execution providers of ONNX Runtime Web. */
const PROVIDERS = ['webgpu', 'wasm'];

type Provider = string | { name: string };

interface SessionOptions {
  executionProviders?: readonly Provider[];
}

interface Runtime {
  InferenceSession: { create(model: unknown, ...more: unknown[]): Promise<object> };
  env: { wasm: { numThreads?: number; wasmPaths?: unknown } };
}

const made = new Map<string, object>();

replaceModule(NATIVE, (asked, importer) => {
  const path = webRuntimePath(isAbsolute(asked) ? asked : importer);
  const runtime = made.get(path) ?? nativeLike(path);
  made.set(path, runtime);
  return runtime;
});

/** Finds ONNX Runtime Web: first from a file, then from the program. */
function webRuntimePath(file: string | undefined): string {
  for (const from of [file, process.argv[1], join(process.cwd(), 'x')]) {
    try {
      if (from) return createRequire(from).resolve('onnxruntime-web/webgpu');
    } catch {
      // Not found from here: try the next place.
    }
  }
  throw new FarlightError(
    'BAD_OPTION',
    'farlight/onnxruntime needs onnxruntime-web beside onnxruntime-node: npm install onnxruntime-web',
  );
}

function nativeLike(path: string): object {
  const web = createRequire(path)(path) as Runtime;
  // With more threads it fetches its worker from a file: URL, and Node fetches none.
  web.env.wasm.numThreads = 1;
  // Otherwise libraries fetch its WebAssembly from a server on the internet.
  web.env.wasm.wasmPaths = pathToFileURL(join(dirname(path), '/')).href;
  return {
    ...web,
    InferenceSession: {
      create: async (model: unknown, ...more: unknown[]) => {
        // The native build also takes a path. Numbers may stand before the options: they select a part of a
        // buffer.
        const bytes = typeof model === 'string' ? await readFile(model) : model;
        const options = isOptions(more.at(-1)) ? (more.pop() as SessionOptions) : {};
        const executionProviders = providersFor(options.executionProviders);
        return web.InferenceSession.create(bytes, ...more, { ...options, executionProviders });
      },
    },
    listSupportedBackends: () => PROVIDERS.map((name) => ({ name, bundled: true })),
  };
}

const isOptions = (value: unknown) => typeof value === 'object' && value !== null;

/**
 * Chooses the GPU, also if a library asks for other providers: those are the native build's, whose default is the
 * CPU. Options for the GPU are kept. A program gets the CPU only if it asks for `wasm`, ONNX Runtime
 * Web's own.
 */
function providersFor(asked: readonly Provider[] = []): Provider[] {
  const nameOf = (each: Provider) => (typeof each === 'string' ? each : each.name);
  const known = asked.filter((each) => PROVIDERS.includes(nameOf(each)));
  return known.length > 0 ? known : ['webgpu'];
}
