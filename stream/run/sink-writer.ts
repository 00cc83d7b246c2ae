import { RunError } from '../../infer/lanes/lane.js';
import { joinRows } from '../../infer/lanes/tensor-rows.js';
import { rowsOf, type Tensor } from '../../infer/service/tensor.js';
import { messageOf } from '../../proto/errors.js';
import { EACH, KEY } from '../definition/upgrade-plan.js';
import { ERRORS, type WriteAction } from '../flow/flow.js';
import { plainValues } from '../sinks/output-text.js';
import type { Output, Sink } from '../sinks/sink.js';

/** The most outputs of one write. */
const MOST = 1000;

export interface SinkListener {
  /** The sink has the outputs of this action. */
  wrote(action: WriteAction<Tensor>, outputs: readonly Output[]): void;
  /** The values of this action make no outputs: another sink is to have the reason. */
  refused(action: WriteAction<Tensor>, message: string): void;
  /** The sink can never take them. */
  fail(error: unknown): void;
}

interface Waiting {
  readonly action: WriteAction<Tensor>;
  /** The outputs come from this: the action itself, or the error that takes its place. */
  readonly written: WriteAction<Tensor>;
}

/** Gives a sink its outputs in order, as many at once as wait. */
export class SinkWriter {
  readonly sink: Sink;
  readonly #listener: SinkListener;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  /** How many outputs were written. */
  written = 0;

  constructor(sink: Sink, listener: SinkListener) {
    this.sink = sink;
    this.#listener = listener;
  }

  write(action: WriteAction<Tensor>, written = action): void {
    this.#waiting.push({ action, written });
    this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    // It must not end before `write` has its promise. And more outputs may come in this turn.
    await undefined;
    try {
      while (this.#waiting.length > 0) {
        const given = this.#waiting.splice(0, MOST).flatMap((waiting) => this.#outputsOf(waiting));
        const all = given.flatMap(({ outputs }) => outputs);
        if (all.length > 0) await this.sink.write(all);
        this.written += all.length;
        for (const { action, outputs } of given) this.#listener.wrote(action, outputs);
      }
    } catch (error) {
      this.#listener.fail(error);
    }
    this.#writing = undefined;
  }

  /** Nothing where the values do not fit together, as when one has fewer rows than the value of `each`. */
  #outputsOf({ action, written }: Waiting) {
    try {
      return [{ action, outputs: outputsOf(written) }];
    } catch (error) {
      if (!(error instanceof RunError)) throw error;
      this.#listener.refused(action, messageOf(error));
      return [];
    }
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
    const row = names.map((name) => [name, rowOf(name, written[name] as Tensor, index)]);
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

/** One entry of the first dimension, without that dimension. @throws RunError where there is none */
function rowOf(name: string, value: Tensor, index: number): Tensor {
  if (index >= rowsOf(value.shape))
    throw new RunError(`value "${name}" has ${rowsOf(value.shape)} rows, fewer than the value of "each"`);
  const { shape, ...rest } = joinRows(value.name, [{ value, from: index, count: 1 }]);
  return { ...rest, shape: shape.slice(1) };
}
