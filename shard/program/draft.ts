import type { PlannedModel } from '../plan-model.js';
import { LocalModel, type LocalTensor } from './local-model.js';
import { type scheduleOf, segmentKey } from './pieces.js';
import type { Put, Segment } from './program.js';

/** A segment while it is put together. */
export class Draft {
  readonly host: number;
  readonly stage: number;
  readonly model: LocalModel;
  /** The names of tensors in its model, by the key of the value. */
  readonly local = new Map<string, string>();
  readonly inputs = new Set<string>();
  readonly keeps = new Map<string, string>();
  readonly fetches: { output: string; slot: number }[] = [];
  readonly #puts = new Map<string, Put>();
  /** By host and name, the last stage that takes a value. All drafts share it. */
  readonly #lastUse: Map<string, number>;

  constructor(planned: PlannedModel, host: number, stage: number, lastUse: Map<string, number>) {
    this.host = host;
    this.stage = stage;
    this.model = new LocalModel(planned.libraries, planned.model);
    this.#lastUse = lastUse;
  }

  /** Takes a value that lies on the host as an input of the model, with the same name. */
  input(value: string, tensor: LocalTensor): void {
    if (this.inputs.has(value)) return;
    this.inputs.add(value);
    this.model.addInput(value, tensor);
    // Segments of earlier stages may be found to need it after those of later ones.
    const key = `${this.host}/${value}`;
    this.#lastUse.set(key, Math.max(this.#lastUse.get(key) ?? 0, this.stage));
  }

  /** Takes a value that the client sends. */
  put(value: string, tensor: LocalTensor, source: Put['source']): void {
    this.#puts.set(value, { value, source });
    this.input(value, tensor);
  }

  /** A value that the client has sent with an earlier segment. */
  sendEarlier(value: string): void {
    this.#puts.delete(value);
  }

  /** The name under which a tensor of the model stays on the host. `value` is for one that does not lie there yet. */
  keep(local: string, value: string): string {
    if (this.inputs.has(local)) return local;
    const known = this.keeps.get(local);
    if (known !== undefined) return known;
    this.model.addOutput(local);
    this.keeps.set(local, value);
    return value;
  }

  /** Keeps a value on the host when all segments have run. */
  keepAfter(value: string): void {
    this.#lastUse.set(`${this.host}/${value}`, Number.POSITIVE_INFINITY);
  }

  /** Makes a tensor an output of the model. Returns the output's name. */
  offer(name: string): string {
    // An input of a model cannot be its output.
    const output = this.inputs.has(name) ? this.model.identity(name) : name;
    this.model.addOutput(output);
    return output;
  }

  segment(number: number, schedule: ReturnType<typeof scheduleOf>): Segment {
    const { host, stage, model, inputs, keeps, fetches } = this;
    if (model.outputs.length === 0) {
      // All its hosts compute the same, and the client asks another one for it. A model needs an output all the same.
      const local = [...this.local.values()].at(-1) as string;
      const output = model.identity(local);
      model.addOutput(output);
      keeps.set(output, `${local}/unused`);
    }
    const own = new Set([...inputs, ...keeps.values()]);
    const drops = [...own].filter((value) => (this.#lastUse.get(`${host}/${value}`) ?? stage) <= stage);
    return {
      number,
      host,
      stage,
      model: model.toBytes(),
      layout: model.layout,
      puts: [...this.#puts.values()],
      inputs: model.inputs,
      keeps: [...keeps],
      fetches,
      sends: schedule.sends.get(segmentKey(host, stage)) ?? [],
      receives: schedule.receives.get(segmentKey(host, stage)) ?? [],
      drops,
    };
  }
}
