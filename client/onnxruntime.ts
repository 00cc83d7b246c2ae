/**
 * `node --import farlight/onnxruntime app.mjs`: has ONNX Runtime's native build, npm `onnxruntime-node`, be ONNX Runtime
 * Web, which computes on `navigator.gpu`. transformers.js, and libraries that hide it, load the native build on Node.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, isAbsolute, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { FarlightError } from '../proto/errors.js';
import { replaceModule } from './node/replace-module.js';

/** The package, or a module of it: `import` asks for that by its path. */
const NATIVE = /(^|[/\\])onnxruntime-node([/\\]|$)/;

/** What ONNX Runtime Web computes with. */
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

/** ONNX Runtime Web as it is found from a file, else from the program. */
function webRuntimePath(file: string | undefined): string {
  for (const from of [file, process.argv[1], join(process.cwd(), 'x')]) {
    try {
      if (from) return createRequire(from).resolve('onnxruntime-web/webgpu');
    } catch {
      // It is not to be found from there.
    }
  }
  throw new FarlightError(
    'BAD_OPTION',
    'farlight/onnxruntime needs onnxruntime-web beside onnxruntime-node: npm install onnxruntime-web',
  );
}

function nativeLike(path: string): object {
  const web = createRequire(path)(path) as Runtime;
  // With more threads it fetches its worker from a file: URL, which Node does not fetch.
  web.env.wasm.numThreads = 1;
  // Otherwise libraries have its WebAssembly fetched from a server on the internet.
  web.env.wasm.wasmPaths = pathToFileURL(join(dirname(path), '/')).href;
  return {
    ...web,
    InferenceSession: {
      create: async (model: unknown, ...more: unknown[]) => {
        // The native build takes a path too. Numbers may stand before the options: which part of a buffer it is.
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
 * The GPU, whatever a library asks the native build for, which is the CPU where nobody tells it otherwise. Options of
 * the GPU's are kept; only ONNX Runtime Web's own CPU, `wasm`, is no other way to say that.
 */
function providersFor(asked: readonly Provider[] = []): Provider[] {
  const nameOf = (each: Provider) => (typeof each === 'string' ? each : each.name);
  const known = asked.filter((each) => PROVIDERS.includes(nameOf(each)));
  return known.length > 0 ? known : ['webgpu'];
}
