import { joinRows } from '../../infer/lanes/tensor-rows.js';
import { rowsOf, type Tensor } from '../../infer/service/tensor.js';
import { EACH, KEY } from '../definition/upgrade-plan.js';
import { ERRORS, type WriteAction } from '../flow/flow.js';
import { plainValues } from '../sinks/output-text.js';
import type { Output, Sink } from '../sinks/sink.js';

/** The most outputs of one write. */
const MOST = 1000;

/** Gives a sink its outputs in order, as many at once as wait. */
export class SinkWriter {
  readonly sink: Sink;
  readonly #wrote: (action: WriteAction<Tensor>, outputs: readonly Output[]) => void;
  readonly #fail: (error: unknown) => void;
  #waiting: WriteAction<Tensor>[] = [];
  #writing: Promise<void> | undefined;
  /** How many outputs were written. */
  written = 0;

  constructor(
    sink: Sink,
    wrote: (action: WriteAction<Tensor>, outputs: readonly Output[]) => void,
    fail: (error: unknown) => void,
  ) {
    this.sink = sink;
    this.#wrote = wrote;
    this.#fail = fail;
  }

  write(action: WriteAction<Tensor>): void {
    this.#waiting.push(action);
    this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    // It must not end before `write` has its promise. And more outputs may come in this turn.
    await undefined;
    try {
      while (this.#waiting.length > 0) {
        const actions = this.#waiting.splice(0, MOST);
        const outputs = actions.map(outputsOf);
        const all = outputs.flat();
        if (all.length > 0) await this.sink.write(all);
        this.written += all.length;
        for (const [at, action] of actions.entries()) this.#wrote(action, outputs[at] as Output[]);
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#writing = undefined;
  }
}

function outputsOf({ sink, record, values, error }: WriteAction<Tensor>): Output[] {
  const { source, offset, key } = record;
  const output = { sink, source, offset, key };
  if (sink === ERRORS) return [{ ...output, index: 0, values: {}, ...(error && { error }) }];
  const { [EACH]: each, ...written } = values;
  if (!each) return [keyed({ ...output, index: 0, values: written })];
  const names = Object.keys(written);
  return Array.from({ length: rowsOf(each.shape) }, (_, index) => {
    const row = names.map((name) => [name, rowOf(written[name] as Tensor, index)]);
    return keyed({ ...output, index, values: Object.fromEntries(row) });
  });
}

/** The output with the key that its sink chooses. One that is no text is written as JSON. */
function keyed(output: Output): Output {
  const { [KEY]: key, ...values } = output.values;
  if (!key) return output;
  const { plain } = plainValues({ values: { plain: key } });
  return { ...output, key: typeof plain === 'string' ? plain : JSON.stringify(plain), values };
}

/** One entry of the first dimension, without that dimension. */
function rowOf(value: Tensor, index: number): Tensor {
  const { shape, ...rest } = joinRows(value.name, [{ value, from: index, count: 1 }]);
  return { ...rest, shape: shape.slice(1) };
}
