import { invariant } from '../../proto/errors.js';
import { Layer } from './states.js';
import type { Cut, FlowRecord, FlowSink, FlowStep, State, States, Version } from './version.js';

/** Something to do. Each is answered once, by the method of `Flow` that its comment names. */
export type Action<Value> = RunAction<Value> | ConvertAction<Value> | WriteAction<Value>;

/** Run a step on a record: `ran`, or `failed` where the record itself is at fault. */
export interface RunAction<Value> {
  readonly kind: 'run';
  readonly version: Version;
  readonly step: FlowStep;
  readonly record: FlowRecord<Value>;
  readonly inputs: Readonly<Record<string, Value>>;
  /** Undefined for the first record of its key. */
  readonly state: State<Value> | undefined;
}

/** Convert a state of the version before: `converted`. If that fails, `abandon` the upgrade. */
export interface ConvertAction<Value> {
  readonly kind: 'convert';
  readonly version: Version;
  readonly step: FlowStep;
  readonly key: string;
  readonly state: State<Value>;
}

/** Write to a sink: `wrote`. The writes of one sink and key are given out in order, before the ones before are answered. */
export interface WriteAction<Value> {
  readonly kind: 'write';
  /** The sink's name, or `ERRORS`. */
  readonly sink: string;
  readonly version: Version;
  readonly record: FlowRecord<Value>;
  readonly values: Readonly<Record<string, Value>>;
  /** For `ERRORS`: the step that failed, and why. */
  readonly error?: { readonly step: string; readonly message: string };
}

/** The sink that gets the records at which a step failed. */
export const ERRORS = '$errors';

/** The record of a cut: from here on it can be stored, and the flow can go on from it. */
export interface Checkpoint<Value> {
  readonly epoch: number;
  readonly version: Version;
  readonly cut: Cut;
  readonly states: States<Value>;
}

/** The records between two cuts, the version that they pass through, and the states of its steps. */
interface Epoch<Value> {
  readonly number: number;
  readonly version: Version;
  readonly layers: Map<string, Layer<Value>>;
  /** Of this epoch, records that have not passed through. */
  passing: number;
  /** Whether sinks may have its outputs: not before an upgrade is committed. */
  isReleased: boolean;
}

/** A record on its way through a version. */
interface Pass<Value> {
  readonly record: FlowRecord<Value>;
  epoch: Epoch<Value>;
  readonly values: Map<string, Value>;
  /** Steps that have no outputs, since they failed, or one before them did. */
  readonly missing: Set<string>;
  /** Failures that `ERRORS` has not been given. */
  readonly failures: { readonly step: string; readonly message: string }[];
  /** Steps and sinks that have not begun. */
  readonly steps: Set<FlowStep>;
  readonly sinks: Set<FlowSink>;
  /** Actions that are not answered. */
  open: number;
}

/**
 * The records of an application on their way through its steps. It does no I/O: it says what to do (`take`), and is told
 * what came of it.
 *
 * Steps without state take records as they come. A step with state, and each sink, takes the records of one key in the
 * order of the source. A record passes through one version, whole: records before a cut through the old one, records
 * after it through the new one. Nothing waits at a cut: a state that a record after the cut changes is written into a
 * layer above the states at the cut.
 */
export class Flow<Value> {
  /** The epoch of the records that are admitted now, and before it the one whose cut is not committed. */
  #now: Epoch<Value>;
  #before: Epoch<Value> | undefined;
  #cut: Cut = new Map();
  readonly #next = new Map<string, number>();
  /** In the order in which they were admitted. */
  #passes = new Set<Pass<Value>>();
  /** For each step with state and each sink, by key, the passes that have to begin there, in order. */
  readonly #queues = new Map<string, Pass<Value>[]>();
  readonly #running = new Map<Action<Value>, Pass<Value>>();
  /** Conversions that are under way, and the passes that wait for them. */
  readonly #converting = new Map<string, ConvertAction<Value>>();
  #actions: Action<Value>[] = [];
  #passed: FlowRecord<Value>[] = [];

  constructor({ epoch, version, cut, states }: Checkpoint<Value>) {
    this.#now = {
      number: epoch,
      version,
      layers: new Map(withState(version).map(({ uid }) => [uid, Layer.of(states.get(uid) ?? [])])),
      passing: 0,
      isReleased: true,
    };
    // Sources that are gone, too: one that comes again goes on behind the records that it had.
    for (const [source, offset] of cut) this.#next.set(source, offset);
  }

  /** The version that admitted records pass through. */
  get version(): Version {
    return this.#now.version;
  }

  get epoch(): number {
    return this.#now.number;
  }

  /** How many records are on their way. */
  get passing(): number {
    return this.#passes.size;
  }

  /** The records that are on their way. */
  *records(): Generator<FlowRecord<Value>> {
    for (const { record } of this.#passes) yield record;
  }

  /** Whether a cut was made that is neither committed nor abandoned. */
  get isCutting(): boolean {
    return this.#before !== undefined;
  }

  /** The first offset of a source that can be admitted next. Offsets may have gaps. */
  next(source: string): number {
    return this.#next.get(source) ?? 0;
  }

  /** The actions that are due now. Each is given out once. */
  take(): Action<Value>[] {
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  /** The records that have passed through all steps and sinks. Each is given out once. */
  takePassed(): FlowRecord<Value>[] {
    const passed = this.#passed;
    this.#passed = [];
    return passed;
  }

  admit(record: FlowRecord<Value>): void {
    invariant(
      record.offset >= this.next(record.source),
      `record ${record.offset} of ${record.source} was admitted before`,
    );
    this.#next.set(record.source, record.offset + 1);
    this.#pass(record);
  }

  ran(action: RunAction<Value>, outputs: Readonly<Record<string, Value>>, state?: State<Value>): void {
    const pass = this.#answered(action);
    if (!pass) return;
    const { step } = action;
    for (const [name, value] of Object.entries(outputs)) pass.values.set(`${step.name}.${name}`, value);
    if (state) this.#layer(pass.epoch, step.uid).set(pass.record.key, state);
    this.#left(step, pass);
  }

  /** The record itself makes the step fail. Steps and sinks that need its outputs are left out; its state stays. */
  failed(action: RunAction<Value>, message: string): void {
    const pass = this.#answered(action);
    if (!pass) return;
    const { step } = action;
    pass.missing.add(step.name);
    pass.failures.push({ step: step.name, message });
    this.#left(step, pass);
  }

  wrote(action: WriteAction<Value>): void {
    const pass = this.#answered(action);
    if (pass) this.#advance(pass);
  }

  converted(action: ConvertAction<Value>, state: State<Value>): void {
    const id = queueId(action.step.uid, action.key);
    if (this.#converting.get(id) !== action) return;
    this.#converting.delete(id);
    this.#layer(this.#now, action.step.uid).convert(action.key, state);
    this.#advanceHead(id);
  }

  /**
   * Cuts the input: records that are admitted from now on are of another epoch. With a version, they pass through that
   * one, and sinks get their outputs once the cut is committed.
   *
   * @param firsts the first offset of each source that only the new version has.
   */
  cut(version: Version = this.version, firsts: Cut = new Map()): void {
    invariant(!this.#before, 'a cut is open');
    for (const [source, offset] of firsts) this.#next.set(source, offset);
    const before = this.#now;
    const isUpgrade = version !== before.version;
    this.#before = before;
    const sources = [...before.version.sources, ...version.sources];
    this.#cut = new Map([...sources.map((source) => [source, this.next(source)] as const), ...this.#next]);
    this.#now = {
      number: before.number + 1,
      version,
      layers: new Map(
        withState(version).map(({ uid, carry }) => {
          const old = before.layers.get(uid) ?? Layer.of<Value>([]);
          return [uid, old.above(isUpgrade ? carry : 'keep')];
        }),
      ),
      passing: 0,
      isReleased: !isUpgrade,
    };
  }

  /**
   * The states at the cut, once all records before it have passed through. Undefined until then. It stays as it is until
   * `commit` or `abandon`.
   */
  checkpoint(): Checkpoint<Value> | undefined {
    // Conversions that are under way come first: each look at all states takes time.
    if (!this.#before || this.#before.passing > 0 || this.#converting.size > 0) return undefined;
    const { number: epoch, version, layers } = this.#now;
    let isWhole = true;
    for (const step of withState(version)) {
      for (const [key, state] of this.#layer(this.#now, step.uid).allUnconverted()) {
        this.#convert(step, key, state);
        isWhole = false;
      }
    }
    if (!isWhole) return undefined;
    return {
      epoch,
      version,
      cut: this.#cut,
      states: new Map([...layers].map(([uid, layer]) => [uid, layer.states])),
    };
  }

  /** The checkpoint is stored. Outputs of the new version go to their sinks. */
  commit(): void {
    invariant(this.#before?.passing === 0, 'records before the cut have not passed');
    this.#before = undefined;
    for (const layer of this.#now.layers.values()) layer.flatten();
    if (this.#now.isReleased) return;
    this.#now.isReleased = true;
    for (const pass of this.#passes) this.#advance(pass);
  }

  /** The cut is not committed. An upgrade leaves no trace: records after the cut pass through the old version. */
  abandon(): void {
    const before = this.#before;
    invariant(before, 'no cut is open');
    this.#before = undefined;
    if (this.#now.isReleased) {
      // Only the states were not stored: the two epochs are one.
      for (const pass of this.#passes) pass.epoch = this.#now;
      this.#now.passing += before.passing;
      for (const layer of this.#now.layers.values()) layer.flatten();
      return;
    }
    const after = [...this.#passes].filter(({ epoch }) => epoch === this.#now);
    const { sources } = before.version;
    this.#now = before;
    this.#converting.clear();
    this.#actions = this.#actions.filter(
      (action) => action.kind !== 'convert' && !after.includes(this.#running.get(action) as Pass<Value>),
    );
    for (const [action, pass] of this.#running) if (after.includes(pass)) this.#running.delete(action);
    for (const pass of after) this.#passes.delete(pass);
    for (const [id, queue] of this.#queues) {
      const rest = queue.filter((pass) => !after.includes(pass));
      if (rest.length > 0) this.#queues.set(id, rest);
      else this.#queues.delete(id);
    }
    for (const { record } of after) if (sources.includes(record.source)) this.#pass(record);
  }

  #pass(record: FlowRecord<Value>): void {
    const epoch = this.#now;
    const { steps, sinks } = epoch.version;
    const pass: Pass<Value> = {
      record,
      epoch,
      values: new Map(
        Object.entries(record.values).map(([name, value]) => [`${record.source}.${name}`, value]),
      ),
      missing: new Set(),
      failures: [],
      steps: new Set(steps.filter(({ source }) => source === record.source)),
      sinks: new Set(sinks.filter(({ source }) => source === record.source)),
      open: 0,
    };
    epoch.passing += 1;
    this.#passes.add(pass);
    for (const step of pass.steps) if (step.hasState) this.#queue(queueId(step.uid, record.key)).push(pass);
    for (const { name } of pass.sinks) this.#queue(sinkId(name, record.key)).push(pass);
    this.#advance(pass);
  }

  /** Begins whatever of a pass can begin, and ends the pass if nothing is left. */
  #advance(pass: Pass<Value>): void {
    for (const step of pass.steps) this.#beginStep(step, pass);
    for (const sink of pass.sinks) this.#beginSink(sink, pass);
    // An upgrade may be abandoned: then its records pass through the old version, those too that are through the new one.
    if (!pass.epoch.isReleased) return;
    for (const error of pass.failures.splice(0)) this.#write(pass, { sink: ERRORS, values: {}, error });
    if (pass.open > 0 || pass.steps.size > 0 || pass.sinks.size > 0 || !this.#passes.delete(pass)) return;
    pass.epoch.passing -= 1;
    this.#passed.push(pass.record);
  }

  #beginStep(step: FlowStep, pass: Pass<Value>): void {
    const absent = absentIn(step.inputs, pass);
    if (absent !== undefined) pass.failures.push({ step: step.name, message: absent });
    if (absent !== undefined || isMissing(step.inputs, pass)) {
      pass.steps.delete(step);
      pass.missing.add(step.name);
      this.#left(step, pass);
      return;
    }
    const inputs = valuesOf(step.inputs, pass);
    if (!inputs) return;
    const { key } = pass.record;
    let state: State<Value> | undefined;
    if (step.hasState) {
      if (this.#queue(queueId(step.uid, key))[0] !== pass) return;
      const layer = this.#layer(pass.epoch, step.uid);
      const old = layer.unconverted(key);
      if (old) {
        this.#convert(step, key, old);
        return;
      }
      state = layer.get(key);
    }
    pass.steps.delete(step);
    this.#act(pass, { kind: 'run', version: pass.epoch.version, step, record: pass.record, inputs, state });
  }

  /** Sinks keep the order in which they are given outputs, so the next pass need not wait for an answer. */
  #beginSink(sink: FlowSink, pass: Pass<Value>): void {
    const id = sinkId(sink.name, pass.record.key);
    if (this.#queue(id)[0] !== pass) return;
    const absent = absentIn(sink.values, pass);
    if (absent !== undefined) pass.failures.push({ step: `sink ${sink.name}`, message: absent });
    else if (!isMissing(sink.values, pass)) {
      const values = valuesOf(sink.values, pass);
      if (!values || !pass.epoch.isReleased) return;
      this.#write(pass, { sink: sink.name, values });
    }
    pass.sinks.delete(sink);
    this.#shift(id);
  }

  #write(pass: Pass<Value>, write: Pick<WriteAction<Value>, 'sink' | 'values' | 'error'>): void {
    this.#act(pass, { kind: 'write', version: pass.epoch.version, record: pass.record, ...write });
  }

  #act(pass: Pass<Value>, action: Action<Value>): void {
    pass.open += 1;
    this.#running.set(action, pass);
    this.#actions.push(action);
  }

  /** @returns undefined where nobody waits for the answer any more: an upgrade was abandoned. */
  #answered(action: Action<Value>): Pass<Value> | undefined {
    const pass = this.#running.get(action);
    if (!pass) return undefined;
    this.#running.delete(action);
    pass.open -= 1;
    return pass;
  }

  /** A pass is done with a step: the next one of its key may begin there. */
  #left(step: FlowStep, pass: Pass<Value>): void {
    if (step.hasState) this.#leaveQueue(queueId(step.uid, pass.record.key), pass);
    this.#advance(pass);
  }

  #leaveQueue(id: string, pass: Pass<Value>): void {
    const queue = this.#queue(id);
    // A pass that lacks an input leaves from anywhere in the queue.
    const at = queue.indexOf(pass);
    if (at > 0) queue.splice(at, 1);
    else if (at === 0) this.#shift(id);
  }

  #shift(id: string): void {
    this.#queue(id).shift();
    this.#advanceHead(id);
  }

  #advanceHead(id: string): void {
    const [head] = this.#queue(id);
    if (head) this.#advance(head);
    else this.#queues.delete(id);
  }

  #queue(id: string): Pass<Value>[] {
    let queue = this.#queues.get(id);
    if (!queue) {
      queue = [];
      this.#queues.set(id, queue);
    }
    return queue;
  }

  #convert(step: FlowStep, key: string, state: State<Value>): void {
    const id = queueId(step.uid, key);
    if (this.#converting.has(id)) return;
    const action: ConvertAction<Value> = { kind: 'convert', version: this.#now.version, step, key, state };
    this.#converting.set(id, action);
    this.#actions.push(action);
  }

  #layer(epoch: Epoch<Value>, uid: string): Layer<Value> {
    const layer = epoch.layers.get(uid);
    invariant(layer, `${uid} has no state`);
    return layer;
  }
}

function withState(version: Version): FlowStep[] {
  return version.steps.filter(({ hasState }) => hasState);
}

/** No key has a newline: the log refuses it. */
function queueId(uid: string, key: string): string {
  return `step ${uid}\n${key}`;
}

function sinkId(name: string, key: string): string {
  return `sink ${name}\n${key}`;
}

/** The values that these references have; undefined while one is not there yet. */
function valuesOf<Value>(
  references: Readonly<Record<string, string>>,
  { values }: Pass<Value>,
): Record<string, Value> | undefined {
  const found: Record<string, Value> = {};
  for (const [name, reference] of Object.entries(references)) {
    const value = values.get(reference);
    if (value === undefined) return undefined;
    found[name] = value;
  }
  return found;
}

/**
 * Why one of these values will never come: an upgrade may ask for a value that the source did not give when the record was
 * logged.
 */
function absentIn<Value>(
  references: Readonly<Record<string, string>>,
  { record: { source }, values }: Pass<Value>,
): string | undefined {
  const absent = Object.values(references).find(
    (reference) => reference.startsWith(`${source}.`) && !values.has(reference),
  );
  return absent && `the record has no value "${absent.slice(source.length + 1)}"`;
}

/** Whether a step failed that one of these values comes from. */
function isMissing<Value>(references: Readonly<Record<string, string>>, { missing }: Pass<Value>): boolean {
  return Object.values(references).some((reference) =>
    missing.has(reference.slice(0, reference.indexOf('.'))),
  );
}
