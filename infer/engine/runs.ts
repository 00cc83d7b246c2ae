import { messageOf } from '../../proto/errors.js';
import { changed } from '../lanes/file-version.js';
import {
  isKept,
  type KeptValue,
  type LaneInput,
  LaneLostError,
  RunError,
  type RunReport,
} from '../lanes/lane.js';
import type { EngineScheduler } from '../schedule/scheduler.js';
import type { Run } from '../schedule/types.js';
import { InferenceError } from '../service/service.js';
import { ELEMENT_BYTES, elementsOf, type Tensor } from '../service/tensor.js';
import type { Active } from './active.js';
import type { HostNow, Hosts } from './hosts.js';
import type { OpenLane } from './lane-slot.js';
import { staysOnLane } from './request/plan.js';
import type { ActiveRequest } from './request/request.js';
import type { Unit } from './request/unit.js';
import { RunTimes, type TimedShare } from './run-times.js';
import type { UnitModels } from './unit-models.js';

/** A slice of a run, with the request as it was when the run began. */
interface Share {
  readonly active: Active;
  readonly attempt: number;
  readonly step: number;
  readonly from: number;
  readonly count: number;
}

/** A run that is under way. */
interface Execution {
  readonly run: Run;
  readonly models: UnitModels;
  readonly shape: string;
  readonly shares: readonly Share[];
  readonly lane: OpenLane;
  readonly host: HostNow;
  /** The free bytes of the host when the run began. */
  readonly free: number;
}

/** A run that is under way, for the server's owner. */
export interface RunUnderWay {
  readonly unit: Unit;
  readonly batch: number;
  readonly since: number;
  isLoading: boolean;
}

export interface RunsOptions {
  readonly scheduler: EngineScheduler;
  readonly hosts: Hosts;
  /** By their ids. */
  readonly requests: ReadonlyMap<number, Active>;
  now(): number;
  /** Called when a run has ended, and the scheduler was told. */
  ended(): void;
}

/**
 * Executes runs on lanes: loads the model, brings its inputs from other lanes, gives each request its part of the
 * outputs, and tells the scheduler how the run ended.
 */
export class Runs {
  readonly #scheduler: EngineScheduler;
  readonly #hosts: Hosts;
  readonly #requests: ReadonlyMap<number, Active>;
  readonly #now: () => number;
  readonly #ended: () => void;
  /** By lane. */
  readonly #underWay = new Map<string, RunUnderWay>();
  /** Called with the items of each run that has ended well. */
  onRun: (items: number) => void = () => {};

  constructor({ scheduler, hosts, requests, now, ended }: RunsOptions) {
    this.#scheduler = scheduler;
    this.#hosts = hosts;
    this.#requests = requests;
    this.#now = now;
    this.#ended = ended;
  }

  /** The run that a lane has now. */
  on(lane: string): RunUnderWay | undefined {
    return this.#underWay.get(lane);
  }

  all(): Iterable<RunUnderWay> {
    return this.#underWay.values();
  }

  async execute(run: Run): Promise<void> {
    const place = this.#hosts.lane(run.lane);
    const shares = this.#sharesOf(run);
    const [first] = shares;
    const task = first?.active.tasks.get(first.step)?.task;
    const models = first?.active.units.find(({ unit }) => unit === task?.unit);
    if (!place || !task || !models) throw new Error(`run ${run.id} has no lane, or nothing to run`);
    const { lane, host } = place;
    const execution: Execution = {
      run,
      models,
      shape: task.shape,
      shares,
      lane,
      host,
      free: this.#hosts.free(host) + run.memory,
    };
    const { unit } = models;
    const underWay = { unit, batch: run.batch, since: this.#now(), isLoading: run.load };
    this.#underWay.set(run.lane, underWay);
    const times = new RunTimes(run, unit, timed(shares), underWay.since);
    try {
      await Promise.all(host.unloads);
      if (run.load) {
        await this.#load(models, lane);
        times.loaded(this.#now());
        underWay.isLoading = false;
      }
      if (first?.active.internal === 'load') first.active.request.take(0, 0, 1, {});
      else if (await this.#bring(shares, lane)) {
        times.brought(this.#now());
        await this.#run(execution, times);
      } else {
        this.#scheduler.putBack(run.id, this.#now());
        return;
      }
      this.#scheduler.complete(run.id, this.#now());
    } catch (error) {
      times.failed(this.#now(), messageOf(error));
      this.#failed(execution, error);
    } finally {
      if (this.#underWay.get(run.lane) === underWay) this.#underWay.delete(run.lane);
      this.#ended();
    }
  }

  #sharesOf({ slices }: Run): Share[] {
    return slices.flatMap(({ request: id, step, from, count }) => {
      const active = this.#requests.get(id);
      const ready = active?.tasks.get(step);
      if (!active || !ready) return [];
      if (!ready.isStarted && !active.internal) {
        ready.task.unit.statistics.queued(this.#now() - ready.readyAt);
      }
      ready.isStarted = true;
      return [{ active, attempt: active.request.attempt, step, from, count }];
    });
  }

  /** Whether a run that was begun for a request is still of use to it. */
  #isCurrent({ active, attempt }: Share): boolean {
    const { request } = active;
    return this.#requests.get(request.id) === active && request.attempt === attempt;
  }

  async #load(models: UnitModels, lane: OpenLane): Promise<void> {
    const { unit } = models;
    const reserve = models.weights;
    const { version } = unit;
    const given = { id: unit.key, ...unit.file, reserve, ...(version !== undefined && { version }) };
    const report = await lane
      .call((each) => each.load(given))
      .catch((error) => {
        if (!(error instanceof RunError) || error.memory) throw error;
        throw new RunError(error.message, { away: true, cause: error });
      });
    if (unit.version === undefined) unit.declare(report.inputs, report.outputs, report.version);
    // Two lanes have loaded it at once, for the first time.
    else if (unit.version !== report.version) throw changed(unit.file.file);
    models.loaded(report);
  }

  /** Brings the inputs of a run that are on other lanes. False where one of those lanes was lost. */
  async #bring(shares: readonly Share[], lane: OpenLane): Promise<boolean> {
    const away = new Map<string, Map<KeptValue, ActiveRequest>>();
    for (const { active, step, from, count } of shares.filter((share) => this.#isCurrent(share))) {
      for (const { value } of Object.values(active.request.inputsOf(step, from, count)).flat()) {
        if (!isKept(value) || value.lane === lane.name) continue;
        const values = away.get(value.lane) ?? new Map<KeptValue, ActiveRequest>();
        values.set(value, active.request);
        away.set(value.lane, values);
      }
    }
    for (const [name, values] of away) {
      const list = [...values.keys()];
      try {
        const tensors = await this.#hosts.lane(name)?.lane.call((each) => each.fetch(list));
        if (!tensors) return false;
        const brought = new Map(list.map((value, index) => [value, tensors[index] as Tensor]));
        for (const request of new Set(values.values())) request.replace(brought);
        this.#hosts.drop(list);
      } catch (error) {
        if (error instanceof LaneLostError) return false;
        throw error;
      }
    }
    return true;
  }

  async #run({ run, models, shape, shares, lane }: Execution, times: RunTimes): Promise<void> {
    const { unit } = models;
    const current = shares.filter((share) => this.#isCurrent(share));
    if (current.length === 0) return;
    const inputs: Record<string, LaneInput[]> = {};
    for (const { active, step, from, count } of current) {
      for (const [name, list] of Object.entries(active.request.inputsOf(step, from, count))) {
        inputs[name] ??= [];
        for (const input of list) inputs[name].push(input);
      }
    }
    const taken = [...new Set(current.flatMap(({ active, step }) => active.request.outputsTaken(step)))];
    // An output that one request of the batch needs here is fetched for all of them.
    const keep = taken.filter((name) =>
      current.every(({ active, step }) => staysOnLane(step, name, active.request.plan)),
    );
    const fetch = taken.filter((name) => !keep.includes(name));
    const parts = unit.batches ? current.map(({ count }) => count) : [1];
    const reserve = run.memory;
    const report = await lane.call((each) =>
      each.run({ model: unit.key, inputs, parts, keep, fetch, reserve }),
    );
    const batch = parts.reduce((sum, count) => sum + count, 0);
    times.ran(this.#now(), report, models.gpuMs(shape, batch));
    checkParts(unit, taken, parts.length, report);
    for (const [index, share] of current.entries()) this.#take(share, taken, index, report);
    const requests = current.filter(({ active }) => !active.internal).length;
    if (requests > 0) {
      unit.statistics.ran(batch, requests, report);
      this.onRun(batch);
    }
    // Batches of about the same size compile the same.
    const size = `${run.model} ${Math.ceil(Math.log2(batch))}`;
    models.ran(shape, batch, report, !lane.ran.has(size), keptBytes(unit, report));
    lane.ran.add(size);
  }

  /** Gives a request its part of what a run has made. */
  #take(share: Share, names: readonly string[], part: number, { outputs }: RunReport): void {
    const { active, step, from, count } = share;
    const values = names.map((name) => [name, outputs[name]?.[part] as Tensor | KeptValue] as const);
    if (!this.#isCurrent(share)) {
      this.#hosts.drop(values.map(([, value]) => value).filter(isKept));
      return;
    }
    const { request, tasks, internal } = active;
    this.#hosts.drop(request.take(step, from, count, Object.fromEntries(values)));
    const ready = tasks.get(step);
    if (!ready || !request.isDone(step) || internal) return;
    ready.task.unit.statistics.ended(this.#now() - ready.readyAt, true);
  }

  #failed({ run, models, shape, shares, host, free: before }: Execution, error: unknown): void {
    // The scheduler has heard of the loss, and has forgotten the run.
    if (error instanceof LaneLostError) return;
    if (error instanceof RunError && error.taken) {
      this.#hosts.refused(host, run.memory);
      this.#scheduler.putBack(run.id, this.#now());
      return;
    }
    const memory = error instanceof RunError && error.memory;
    const free = Math.min(before, this.#hosts.free(host) + run.memory);
    if (memory && free < run.memory) {
      // Others have taken the memory since the run began: that says nothing of the model.
      this.#scheduler.putBack(run.id, this.#now());
      return;
    }
    if (memory) models.outOfMemory(shape, run.batch, free);
    const reason = messageOf(error);
    const code = codeOf(error);
    const failure = {
      reason,
      error: new InferenceError(code, `${models.unit.title}: ${reason}`, { cause: error }),
    };
    for (const { active } of shares) active.request.failure = failure;
    // Without its file, half of the items would fail alike.
    const whole = error instanceof RunError && error.away;
    this.#scheduler.fail(run.id, this.#now(), { reason, memory, whole });
  }
}

function codeOf(error: unknown): InferenceError['code'] {
  if (!(error instanceof RunError)) return 'internal';
  if (error.away) return 'unavailable';
  return error.memory ? 'too-large' : 'invalid';
}

/** The requests that want to know where their time goes. */
function timed(shares: readonly Share[]): TimedShare[] {
  return shares.flatMap(({ active: { tasks, onSpan }, step, count }) => {
    const ready = tasks.get(step);
    return onSpan && ready ? [{ readyAt: ready.readyAt, count, onSpan }] : [];
  });
}

/** @throws Error where a lane has not given each output, in as many parts as it was told */
function checkParts({ title }: Unit, outputs: readonly string[], parts: number, report: RunReport): void {
  for (const name of outputs) {
    const got = report.outputs[name]?.length;
    if (got === undefined) throw new RunError(`It has no output "${name}".`);
    if (got !== parts) throw new Error(`${title} gave output "${name}" in ${got} parts, not ${parts}.`);
  }
}

/** Bytes of a run's outputs that stayed on its lane. */
function keptBytes({ outputs }: Unit, report: RunReport): number {
  let bytes = 0;
  for (const { name, datatype } of outputs) {
    for (const value of report.outputs[name] ?? []) {
      if (isKept(value)) bytes += elementsOf(value.shape) * (ELEMENT_BYTES[datatype] ?? 0);
    }
  }
  return bytes;
}
