import type { InferenceSession } from 'onnxruntime-web/wasm';
import { setImmediate } from '../../link/machine/clock.js';
import { deferred } from '../../link/machine/deferred.js';
import { isSameDescriptor } from '../layout/descriptor.js';
import { inputsOf, seenIn, typeName } from '../onnx/observe.js';
import type { LineReport, PlanReport } from '../plan/report.js';
import type { PlannedModel } from '../plan-model.js';
import type { Output, Program, Put, Segment } from '../program/program.js';
import { HostTensor } from './host-tensor.js';
import type { Done, Host } from './messages.js';
import { Traffic } from './traffic.js';
import { arrayOf, bytesPerElement, cut, place, sum, type Values, valuesOf } from './values.js';

type Tensor = import('onnxruntime-web/wasm').Tensor;
type Metadata = InferenceSession.ValueMetadata;
type TypeName = Tensor['type'];

/** A tensor as a program gives it: one of any ONNX Runtime, or state that an earlier run has left on the hosts. */
export type Feed = Pick<Tensor, 'type' | 'dims' | 'data'> | HostTensor;

/** Options for a model whose hosts are opened already. */
export interface LoadOptions {
  /** Called when the hosts are closed. */
  readonly closed?: () => Promise<void>;
  /** Why tensors go by way of the client, if hosts were asked to send them to each other and cannot. */
  readonly whyByClient?: string | undefined;
  /** Whether each host keeps the memory that its part takes from the start on. */
  readonly reserve?: boolean | undefined;
}

/** A run under way: its inputs, and the values that the client has fetched so far. */
interface Run {
  readonly number: number;
  readonly feeds: ReadonlyMap<string, Values | HostTensor>;
  readonly slots: (Values | undefined)[];
  /** Names of the values that the run has laid on each host. */
  readonly laid: Map<number, Set<string>>;
  /** The lengths of values that stay on the hosts, by name. */
  readonly kept: Map<string, readonly number[]>;
}

/** A model that runs over several hosts, in the shape of ONNX Runtime's InferenceSession. Runs wait for each other. */
export class ShardedModel {
  /** The plan that it runs by, with the bytes of one run by line. */
  readonly plan: PlanReport;
  /** Why tensors go by way of the client, if hosts were asked to send them to each other and cannot. */
  readonly whyByClient: string | undefined;
  readonly #lost = deferred<Error>();
  /** Resolves to the reason once the model runs no more. It stays pending if the model was released. */
  readonly lost: Promise<Error> = this.#lost.promise;
  readonly #planned: PlannedModel;
  readonly #program: Program;
  readonly #hosts: readonly Host[];
  readonly #closed: () => Promise<void>;
  readonly #traffic: Traffic;
  #runs = 0;
  #last: Promise<unknown> = Promise.resolve();
  #ended: Error | undefined;
  #released: Promise<void> | undefined;

  constructor(
    planned: PlannedModel,
    program: Program,
    hosts: readonly Host[],
    { closed = async () => {}, whyByClient }: LoadOptions = {},
  ) {
    this.plan = planned.report;
    this.whyByClient = whyByClient;
    this.#planned = planned;
    this.#program = program;
    this.#hosts = hosts;
    this.#closed = closed;
    this.#traffic = new Traffic(hosts.length, program.route === 'direct');
    // Without one of its hosts the model never runs again, so release the others.
    for (const host of hosts) void host.lost.then((error) => this.#lose(error));
  }

  get inputNames(): readonly string[] {
    return this.#planned.problem.graph.inputs;
  }

  get outputNames(): readonly string[] {
    return this.#planned.problem.graph.outputs;
  }

  get inputMetadata(): readonly Metadata[] {
    return metadataOf(inputsOf(this.#planned.model));
  }

  get outputMetadata(): readonly Metadata[] {
    return metadataOf(this.#planned.model.graph?.output ?? []);
  }

  /** Bytes of tensors that have gone over each line in all runs so far, without weights. */
  get moved(): readonly LineReport[] {
    return this.#traffic.lines;
  }

  /**
   * Runs the model once. Rejects with an Error that names the host if one fails. Rejects with a TypeError or RangeError if
   * an input is missing, or if its type or shape does not fit the plan.
   */
  run(feeds: Readonly<Record<string, Feed>>): Promise<Record<string, Tensor | HostTensor>> {
    const run = this.#last.then(() => this.#run(feeds));
    // The program has the error. The next run begins anyway.
    this.#last = run.catch(() => undefined);
    return run;
  }

  /** Ends the sessions on all hosts. It resolves when their threads have ended. A run under way rejects. */
  release(): Promise<void> {
    this.#ended ??= new Error('the model was released');
    this.#released ??= this.#release();
    return this.#released;
  }

  async #release(): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.close()));
    await this.#closed();
  }

  /** The first reason counts. */
  #lose(error: Error): Error {
    if (!this.#ended) this.#lost.resolve(error);
    this.#ended ??= error;
    // The program gets this error when it releases the model.
    this.release().catch(() => {});
    return this.#ended;
  }

  async #run(feeds: Readonly<Record<string, Feed>>): Promise<Record<string, Tensor | HostTensor>> {
    if (this.#ended) throw this.#ended;
    const run: Run = {
      number: this.#runs++,
      feeds: this.#check(feeds),
      slots: Array(this.#program.slots).fill(undefined),
      laid: new Map(this.#hosts.map((_, host) => [host, new Set()])),
      kept: new Map(),
    };
    try {
      if (this.#program.route === 'direct') await this.#runAtOnce(run);
      else await this.#runByStages(run);
      return Object.fromEntries(
        [...this.#program.outputs].map(([name, output]) => [name, this.#result(run, name, output)]),
      );
    } catch (error) {
      for (const [host, values] of run.laid) this.#drop(host, [...values]);
      throw this.#ended ?? error;
    }
  }

  /** By way of the client: it waits for all hosts after each stage. */
  async #runByStages(run: Run): Promise<void> {
    for (let stage = 0; stage < this.#program.stages; stage += 1) {
      const segments = this.#program.segments.filter((segment) => segment.stage === stage);
      // If one host fails, the others still work on this run. The next run must not begin before they are done.
      const results = await Promise.allSettled(segments.map((segment) => this.#runSegment(run, segment)));
      for (const result of results) if (result.status === 'rejected') throw result.reason;
    }
  }

  /**
   * Hosts talk to each other: each gets all of its work at once, and the client waits for all of them at the end. If one
   * fails, the others may wait for it, and the lines may hold stale ranges: the model has ended.
   */
  async #runAtOnce(run: Run): Promise<void> {
    const { segments, reads } = this.#program;
    const asked = [
      ...segments.map((segment) => this.#runSegment(run, segment)),
      ...this.#hosts.map((_, host) => {
        const own = reads.filter((read) => read.host === host);
        return this.#read(run, host, own);
      }),
    ];
    try {
      await Promise.all(asked);
    } catch (error) {
      // A host that is gone or stands still makes others fail first. Wait for its own error: each has a time limit.
      await Promise.race([Promise.allSettled(asked), ...this.#hosts.map(({ lost }) => lost)]);
      await new Promise(setImmediate);
      const reason = this.#lose(error as Error);
      await Promise.allSettled(asked);
      throw reason;
    }
  }

  /** Reads the values that the client needs of a host at the end of a run. It waits without values, too, for errors. */
  async #read(run: Run, host: number, reads: Program['reads']): Promise<void> {
    const values = reads.map(({ value }) => `${run.number}/${value}`);
    const done = await (this.#hosts[host] as Host).ask({ ask: 'read', values });
    for (const [at, { slot }] of reads.entries()) this.#fetched(run, host, slot, done.fetched[at] as Values);
  }

  async #runSegment(run: Run, segment: Segment): Promise<void> {
    const { number, host, puts, inputs, keeps, fetches, sends, receives, drops } = segment;
    const laid = run.laid.get(host) as Set<string>;
    /** The program's state is on the host already, and stays there. */
    const stateOf = (value: string): string | undefined => {
      const feed = run.feeds.get(this.#program.states.get(value) ?? '');
      return feed instanceof HostTensor ? feed.values.get(host) : undefined;
    };
    const idOf = (value: string) => stateOf(value) ?? `${run.number}/${value}`;
    const sent = puts
      .filter(({ value }) => stateOf(value) === undefined)
      .map(({ value, source }): [string, Values] => [idOf(value), this.#sent(run, source)]);
    for (const [id, { data }] of sent) {
      laid.add(id);
      this.#traffic.add('client', host, data.byteLength);
    }
    const kept = keeps.map(([output, value]): [string, string] => [output, idOf(value)]);
    for (const [, id] of kept) laid.add(id);
    for (const { value } of receives) laid.add(idOf(value));
    const done: Done = await (this.#hosts[host] as Host).ask({
      ask: 'run',
      segment: number,
      puts: sent,
      receives: receives.map((one) => ({ ...one, value: idOf(one.value), like: idOf(one.like) })),
      inputs: inputs.map((input) => [input, idOf(input)]),
      keeps: kept,
      fetches: fetches.map(({ output }) => output),
      sends,
      drops: drops.filter((value) => stateOf(value) === undefined).map(idOf),
    });
    for (const [at, { to }] of sends.entries()) this.#traffic.add(host, to, done.sent?.[at] ?? 0);
    for (const [at, { slot }] of fetches.entries())
      this.#fetched(run, host, slot, done.fetched[at] as Values);
    for (const [at, [, id]] of kept.entries()) run.kept.set(id, done.kept[at]?.dims ?? []);
  }

  #fetched(run: Run, host: number, slot: number, values: Values): void {
    run.slots[slot] = values;
    this.#traffic.add(host, 'client', values.data.byteLength);
  }

  #sent(run: Run, source: Put['source']): Values {
    if ('slots' in source) return sum(source.slots.map((slot) => fetched(run, slot)));
    const feed = run.feeds.get(source.input) as Values;
    // Axes that differ from run to run are never cut.
    const { varying } = seenIn(this.#planned.observed, source.input);
    const { start, end } = source.region;
    return cut(feed, {
      start,
      end: end.map((at, axis) => (varying.includes(axis) ? (feed.dims[axis] as number) : at)),
    });
  }

  #result(run: Run, name: string, output: Output): Tensor | HostTensor {
    if ('input' in output) return this.#tensor(run.feeds.get(output.input) as Values);
    if ('values' in output) return this.#state(run, name, output.values);
    const { shape, varying, dataType } = seenIn(this.#planned.observed, name);
    const [first] = output.boxes;
    // Nothing moves of an empty tensor.
    if (!first) return this.#tensor({ type: typeName(dataType), dims: shape, data: new Uint8Array(0) });
    const parts = output.boxes.map(({ region, slots }) => ({
      region,
      part: sum(slots.map((slot) => fetched(run, slot))),
    }));
    const { part } = parts[0] as (typeof parts)[0];
    if (parts.length === 1) return this.#tensor(part);
    const actual = (axis: number, planned: number) =>
      varying.includes(axis) ? (part.dims[axis] as number) : planned;
    const dims = shape.map((size, axis) => actual(axis, size));
    const count = dims.reduce((product, size) => product * size, 1);
    const whole: Values = { type: part.type, dims, data: new Uint8Array(count * bytesPerElement(part.type)) };
    for (const { region, part: values } of parts)
      place(whole, { start: region.start, end: region.end.map((at, axis) => actual(axis, at)) }, values.data);
    return this.#tensor(whole);
  }

  /** State that stays on the hosts: it is the program's from now on. */
  #state(run: Run, name: string, values: ReadonlyMap<number, string>): HostTensor {
    const { shape, varying, dataType } = seenIn(this.#planned.observed, name);
    const ids = new Map([...values].map(([host, value]) => [host, `${run.number}/${value}`]));
    const [some] = ids.values();
    const part = run.kept.get(some ?? '') ?? [];
    const dims = shape.map((size, axis) => (varying.includes(axis) ? (part[axis] ?? size) : size));
    return new HostTensor(this, name, typeName(dataType), dims, ids, () => {
      for (const [host, id] of ids) this.#drop(host, [id]);
    });
  }

  #tensor({ type, dims, data }: Values): Tensor {
    const { Tensor: Made } = this.#planned.libraries.ort;
    return new Made(type as 'float32', arrayOf(type, data) as Float32Array, dims);
  }

  #drop(host: number, values: readonly string[]): void {
    // If the host fails, the values are gone with it.
    if (!this.#ended && values.length > 0)
      this.#hosts[host]?.ask({ ask: 'drop', values }).catch(() => undefined);
  }

  #check(feeds: Readonly<Record<string, Feed>>): Map<string, Values | HostTensor> {
    const { graph, given } = this.#planned.problem;
    for (const name of Object.keys(feeds))
      if (!graph.inputs.includes(name))
        throw new TypeError(`the model has no input "${name}": it has ${graph.inputs.join(', ')}`);
    return new Map(
      graph.inputs.map((name): [string, Values | HostTensor] => {
        const feed = feeds[name];
        if (!feed) throw new TypeError(`the input "${name}" is missing`);
        const { shape, varying, dataType } = seenIn(this.#planned.observed, name);
        const wanted = shape.map((size, axis) => (varying.includes(axis) ? '?' : size));
        if (feed.type !== typeName(dataType))
          throw new TypeError(
            `the input "${name}" has type ${typeName(dataType)}, and ${feed.type} was given`,
          );
        if (
          feed.dims.length !== shape.length ||
          feed.dims.some((size, axis) => wanted[axis] !== '?' && size !== shape[axis])
        )
          throw new RangeError(
            `the model was planned for ${wanted.join('x')} in input "${name}", and ${feed.dims.join('x')} was given: give the dimensions of the plan, and two sizes for one that differs from run to run`,
          );
        // A copy: the program may change its tensor while the run goes on.
        if (!(feed instanceof HostTensor)) return [name, valuesOf(feed)];
        const [asks, has] = [given.get(name), given.get(feed.output)];
        if (feed.model !== this || feed.isDisposed || !asks || !has || !isSameDescriptor(asks, has))
          throw new TypeError(
            `the input "${name}" takes no such tensor on the hosts: give an output of this model that its state names for it, and that was not disposed`,
          );
        return [name, feed];
      }),
    );
  }
}

function fetched(run: Run, slot: number): Values {
  const values = run.slots[slot];
  if (!values) throw new Error('Farlight bug: the client sends only what it has fetched');
  return values;
}

function metadataOf(values: ReturnType<typeof inputsOf>): Metadata[] {
  return values.map(({ name, type }): Metadata => {
    const tensor = type?.value.case === 'tensorType' ? type.value.value : undefined;
    if (!tensor) return { name, isTensor: false };
    const shape = (tensor.shape?.dim ?? []).map(({ value }) =>
      value.case === 'dimValue' ? Number(value.value) : (value.value ?? ''),
    );
    return { name, isTensor: true, type: typeName(tensor.elemType) as TypeName, shape };
  });
}
