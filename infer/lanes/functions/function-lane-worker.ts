/** The worker of a lane for functions. Their output goes to the server's standard error. */
import { pathToFileURL } from 'node:url';
import { monotonicNow } from '../../../link/machine/clock.js';
import { messageOf } from '../../../proto/errors.js';
import type { Tensor } from '../../service/tensor.js';
import { type LaneModel, RunError } from '../lane.js';
import { answerCalls } from '../worker-answers.js';
import { returnedTensors, seenByFunction } from './function-values.js';

type GraphFunction = (inputs: object, context: { signal: AbortSignal }) => unknown;

export interface FunctionCall {
  readonly id: string;
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly outputs: readonly string[];
}

/** The answers to some calls, in their order. */
export interface FunctionAnswers {
  /** The outputs of each call, or why it failed, in a sentence. */
  readonly answers: readonly (readonly Tensor[] | string)[];
  /** Milliseconds that the functions took. */
  readonly ms: number;
}

const functions = new Map<string, GraphFunction>();
let running: AbortController | undefined;

answerCalls({
  methods: {
    load: async ({ id, file, function: name = '', version = '' }: LaneModel) => {
      let module: Record<string, unknown>;
      try {
        // A file that was changed is another module.
        module = await import(`${pathToFileURL(file)}?${version.split(' ').at(-1)}`);
      } catch (error) {
        throw new RunError(`${file} cannot be loaded: ${messageOf(error)}`);
      }
      const run = module[name];
      if (typeof run !== 'function')
        throw new RunError(`${file} has no function "${name}" among its exports.`);
      functions.set(id, run as GraphFunction);
      return {};
    },
    unload: async (id: string) => ({ value: void functions.delete(id) }),
    run: async (calls: readonly FunctionCall[]) => {
      const start = monotonicNow();
      const answers: (readonly Tensor[] | string)[] = [];
      for (const call of calls) answers.push(await answer(call));
      const value: FunctionAnswers = { answers, ms: monotonicNow() - start };
      return { value, tensors: answers.flatMap((each) => (typeof each === 'string' ? [] : each)) };
    },
  },
  abort: (reason) => running?.abort(new Error(reason)),
  leave: () => running?.abort(new Error('The lane was closed.')),
});

/** Never rejects. */
async function answer({ id, inputs, outputs }: FunctionCall): Promise<readonly Tensor[] | string> {
  const known = functions.get(id);
  if (!known) return `Function "${id}" is not loaded on this lane.`;
  running = new AbortController();
  try {
    const seen = Object.entries(inputs).map(([name, tensor]) => [name, seenByFunction(tensor)]);
    const returned = await known(Object.fromEntries(seen), { signal: running.signal });
    return returnedTensors(returned, outputs);
  } catch (error) {
    return `It failed: ${messageOf(error)}${placeOf(error)}`;
  } finally {
    running = undefined;
  }
}

/** Where in a module of the graph an error was thrown, as ` (crops.mjs:12:5)`. */
function placeOf(error: unknown): string {
  const [, file, place] =
    /([^/\s]+\.m?js)\?[\d.]+:(\d+:\d+)/.exec((error as Error | null)?.stack ?? '') ?? [];
  return file === undefined ? '' : ` (${file}:${place})`;
}
