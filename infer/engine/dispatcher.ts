import { queueMicrotask } from '../../link/machine/clock.js';
import { messageOf } from '../../proto/errors.js';
import {
  isKept,
  type KeptValue,
  type LaneInput,
  LaneLostError,
  RunError,
  type RunReport,
} from '../lanes/lane.js';
import type { Learned } from '../memory/learned.js';
import type { Resource } from '../schedule/costs.js';
import type { Policy } from '../schedule/policy.js';
import { Scheduler } from '../schedule/scheduler.js';
import type { Decision, Outcome, Run } from '../schedule/types.js';
import { InferenceError } from '../service/service.js';
import { ELEMENT_BYTES, elementsOf, type Tensor } from '../service/tensor.js';
import { type EngineHost, type HostNow, Hosts, type HostsOptions } from './hosts.js';
import type { OpenLane } from './lane-slot.js';
import { modelPlan, staysOnLane } from './request/plan.js';
import { ActiveRequest, type StepTask } from './request/request.js';
import type { Unit } from './request/unit.js';
import { UnitModels } from './unit-models.js';

export interface DispatcherOptions extends HostsOptions {
  readonly hosts: readonly EngineHost[];
  readonly policy?: Partial<Policy>;
}

export interface RunOptions {
  /** What the request counts beside others. */
  readonly weight?: number;
  /** By the clock, when nobody wants it any more. */
  readonly deadline?: number;
  readonly signal?: AbortSignal | undefined;
  /** It is the engine's own, and in no statistics. `load`: it only loads the file of its one step. */
  readonly internal?: 'load' | 'learn';
}

/** A task that has become ready. */
interface ReadyTask {
  readonly task: StepTask;
  readonly readyAt: number;
  isStarted: boolean;
}

interface Active {
  readonly request: ActiveRequest;
  readonly units: readonly UnitModels[];
  readonly tasks: Map<number, ReadyTask>;
  readonly internal: RunOptions['internal'];
  resolve(outputs: Tensor[]): void;
  reject(error: InferenceError): void;
}

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

/**
 * Carries out what the scheduler decides: loads, runs and unloads on lanes, moves values between steps, and tells the
 * scheduler what came of it. Each request is answered once.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #scheduler: Scheduler;
  readonly #hosts: Hosts;
  readonly #units = new Map<Unit, UnitModels>();
  readonly #requests = new Map<number, Active>();
  #ids = 0;
  #isPumping = false;
  #wakeAt: number | undefined;
  #isClosed = false;
  /** Called when a request has ended, whatever came of it. */
  onEnd: () => void = () => {};

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#scheduler = new Scheduler(options.policy);
    this.#hosts = new Hosts(options.hosts, this.#scheduler, {
      ...options,
      changed: () => this.#pump(),
      resized: () => this.#resized(),
      gone: (resource, message) => this.#refuseAll(resource, message),
    });
  }

  get hosts(): Pick<Hosts, 'has' | 'missing'> {
    return this.#hosts;
  }

  /** How many requests wait or run. */
  get requests(): number {
    return this.#requests.size;
  }

  /** About how many milliseconds of work wait. */
  get backlog(): number {
    return this.#scheduler.backlog;
  }

  /** Requests may ask for a unit from now on. `bytes` is the size of its file. */
  serve(unit: Unit, kept: ReadonlyMap<string, Learned> = new Map(), bytes = 0): UnitModels {
    const largest = (): number => this.#hosts.largest;
    const models = new UnitModels(unit, this.#scheduler, { kept, bytes, largest });
    this.#units.set(unit, models);
    return models;
  }

  /** Nobody may ask for a unit any more. What runs of it is finished; requests that wait for it are refused. */
  withdraw(unit: Unit): void {
    this.#units.get(unit)?.remove();
    this.#units.delete(unit);
    this.#pump();
  }

  /**
   * Loads a unit's file onto a lane, so that it is known what the file declares.
   * @throws InferenceError
   */
  async load(unit: Unit): Promise<void> {
    await this.run(modelPlan(unit.title, '', unit), { inputs: [] }, { internal: 'load' });
  }

  /**
   * Runs a request, whose units are served.
   * @throws InferenceError
   */
  run(
    plan: ActiveRequest['plan'],
    { inputs, outputs }: { inputs: readonly Tensor[]; outputs?: readonly string[] | undefined },
    { weight = 1, deadline, signal, internal }: RunOptions = {},
  ): Promise<Tensor[]> {
    const units: UnitModels[] = [];
    for (const unit of new Set(plan.steps.map((step) => step.unit))) {
      const models = this.#units.get(unit);
      if (models) units.push(models);
      else return Promise.reject(new InferenceError('unavailable', `${plan.name} is not served any more.`));
      const missing = this.#hosts.missing(unit.resource);
      if (missing !== undefined) return Promise.reject(new InferenceError('unavailable', missing));
    }
    if (this.#isClosed) return Promise.reject(new InferenceError('unavailable', 'The server is ending.'));
    if (signal?.aborted) return Promise.reject(cancelled());
    const request = new ActiveRequest(this.#ids++, plan, { inputs, ...(outputs && { outputs }) });
    return new Promise<Tensor[]>((resolve, reject) => {
      const abort = (): void => this.#cancel(request.id, cancelled());
      const active: Active = {
        request,
        units,
        tasks: new Map(),
        internal,
        resolve(outputs) {
          signal?.removeEventListener('abort', abort);
          resolve(outputs);
        },
        reject(error) {
          signal?.removeEventListener('abort', abort);
          reject(error);
        },
      };
      this.#requests.set(request.id, active);
      for (const { unit } of units) unit.users += 1;
      signal?.addEventListener('abort', abort, { once: true });
      this.#scheduler.arrive(
        {
          id: request.id,
          graph: plan.scheduled,
          items: Math.max(1, request.items),
          weight,
          together: internal === 'learn',
          ...(deadline !== undefined && { deadline }),
          taskOf: (step) => this.#taskOf(active, step),
        },
        this.#now(),
      );
      this.#pump();
    });
  }

  /** Ends all requests, and closes all lanes. */
  async close(message: string): Promise<void> {
    this.#isClosed = true;
    for (const id of [...this.#requests.keys()]) this.#cancel(id, new InferenceError('unavailable', message));
    await this.#hosts.close();
  }

  #resized(): void {
    for (const models of this.#units.values()) models.tell();
  }

  #now(): number {
    return this.#options.clock.now();
  }

  #cancel(id: number, error: InferenceError): void {
    const active = this.#requests.get(id);
    if (!active) return;
    this.#scheduler.cancel(id);
    this.#settle(active, error);
    this.#pump();
  }

  #refuseAll(resource: Resource, message: string): void {
    for (const [id, { units }] of [...this.#requests]) {
      if (!units.some(({ unit }) => unit.resource === resource)) continue;
      this.#cancel(id, new InferenceError('unavailable', message));
    }
  }

  /** What a step turns out to be, as the scheduler is told. */
  #taskOf(
    { request, units, tasks }: Active,
    step: number,
  ): { model: string; items: number } | { reason: string } {
    try {
      const task = request.taskOf(step);
      const models = units.find(({ unit }) => unit === task.unit) as UnitModels;
      const model = models.use(task);
      const before = tasks.get(step);
      if (before) models.release(before.task);
      tasks.set(step, { task, readyAt: this.#now(), isStarted: false });
      return { model, items: task.items };
    } catch (error) {
      request.failure = error instanceof InferenceError ? error : internal(error);
      return { reason: request.failure.message };
    }
  }

  /** Decides, once all that happens now has been told. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    queueMicrotask(() => {
      this.#isPumping = false;
      for (const decision of this.#scheduler.decide(this.#now())) this.#carryOut(decision);
      const { lookAt } = this.#scheduler;
      if (lookAt === undefined || (this.#wakeAt !== undefined && this.#wakeAt <= lookAt)) return;
      this.#wakeAt = lookAt;
      this.#options.clock.after(Math.max(0, lookAt - this.#now()), () => {
        if (this.#wakeAt === lookAt) this.#wakeAt = undefined;
        this.#pump();
      });
    });
  }

  #carryOut(decision: Decision): void {
    if (decision.kind === 'unload') {
      this.#hosts.unload(decision.lane, decision.file);
      return;
    }
    if (decision.kind === 'start') {
      void this.#execute(decision.run);
      return;
    }
    const active = this.#requests.get(decision.request);
    if (!active) return;
    if (decision.kind === 'restart') this.#hosts.drop(active.request.restart());
    else this.#end(active, decision.outcome);
  }

  #end(active: Active, outcome: Outcome): void {
    const { request, internal: own } = active;
    if (outcome.is !== 'done') this.#settle(active, this.#errorOf(request, outcome));
    else if (own) this.#settle(active, []);
    else {
      try {
        this.#settle(active, request.result());
      } catch (error) {
        this.#settle(active, error instanceof InferenceError ? error : internal(error));
      }
    }
  }

  #errorOf({ plan, failure }: ActiveRequest, outcome: Exclude<Outcome, { is: 'done' }>): InferenceError {
    switch (outcome.is) {
      case 'expired':
        return new InferenceError('expired', `The request to ${plan.name} was not done within its timeout.`);
      case 'failed':
        return failure ?? new InferenceError('internal', outcome.reason);
      case 'refused':
        if (outcome.why === 'too-large') return new InferenceError('too-large', outcome.reason);
        if (outcome.why === 'no-model') {
          return new InferenceError('unavailable', `A model that ${plan.name} needs was unloaded.`);
        }
        return new InferenceError('overloaded', outcome.reason, { retryAfter: retryAfter(this.backlog) });
    }
  }

  #settle(active: Active, result: Tensor[] | InferenceError): void {
    const { request, units, tasks } = active;
    if (!this.#requests.delete(request.id)) return;
    for (const [step, { task, readyAt }] of tasks) {
      units.find(({ unit }) => unit === task.unit)?.release(task);
      const failed = result instanceof InferenceError && !request.isDone(step);
      if (failed && !active.internal) task.unit.statistics.ended(this.#now() - readyAt, false);
    }
    for (const { unit } of units) unit.users -= 1;
    this.#hosts.drop(request.release());
    if (result instanceof InferenceError) active.reject(result);
    else active.resolve(result);
    this.onEnd();
  }

  async #execute(run: Run): Promise<void> {
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
    try {
      await Promise.all(host.unloads);
      if (run.load) await this.#load(models, lane);
      if (first?.active.internal === 'load') first.active.request.take(0, 0, 1, {});
      else if (!(await this.#bring(shares, lane))) {
        this.#scheduler.putBack(run.id, this.#now());
        return;
      } else await this.#run(execution);
      this.#scheduler.complete(run.id, this.#now());
    } catch (error) {
      this.#failed(execution, error);
    } finally {
      this.#pump();
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
    const report = await lane.call((each) => each.load({ id: unit.key, ...unit.file, reserve }));
    if (!unit.isDeclared) unit.declare(report.inputs, report.outputs);
    models.loaded(report);
  }

  /** Brings the values here that a run takes and that are on other lanes. False where one of those lanes was lost. */
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

  async #run({ run, models, shape, shares, lane }: Execution): Promise<void> {
    const { unit } = models;
    const current = shares.filter((share) => this.#isCurrent(share));
    if (current.length === 0) return;
    const inputs: Record<string, LaneInput[]> = {};
    for (const { active, step, from, count } of current) {
      for (const [name, list] of Object.entries(active.request.inputsOf(step, from, count))) {
        inputs[name] = [...(inputs[name] ?? []), ...list];
      }
    }
    const taken = [...new Set(current.flatMap(({ active, step }) => active.request.outputsTaken(step)))];
    // What one request of the batch needs here comes here for all of them.
    const keep = taken.filter((name) =>
      current.every(({ active, step }) => staysOnLane(step, name, active.request.plan)),
    );
    const fetch = taken.filter((name) => !keep.includes(name));
    const parts = unit.batches ? current.map(({ count }) => count) : [1];
    const reserve = run.memory;
    const report = await lane.call((each) =>
      each.run({ model: unit.key, inputs, parts, keep, fetch, reserve }),
    );
    checkParts(unit, taken, parts.length, report);
    for (const [index, share] of current.entries()) this.#take(share, taken, index, report);
    const batch = parts.reduce((sum, count) => sum + count, 0);
    const requests = current.filter(({ active }) => !active.internal).length;
    if (requests > 0) unit.statistics.ran(batch, requests, report);
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
    const { request, tasks, internal: own } = active;
    this.#hosts.drop(request.take(step, from, count, Object.fromEntries(values)));
    const ready = tasks.get(step);
    if (!ready || !request.isDone(step) || own) return;
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
    const code = memory ? 'too-large' : error instanceof RunError ? 'invalid' : 'internal';
    for (const { active } of shares) {
      active.request.failure = new InferenceError(code, `${models.unit.title}: ${reason}`, { cause: error });
    }
    this.#scheduler.fail(run.id, this.#now(), { reason, memory });
  }
}

/** Seconds after which a server with so many milliseconds of work has room again. */
export function retryAfter(backlog: number): number {
  return Math.max(1, Math.ceil(backlog / 1000));
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

function cancelled(): InferenceError {
  return new InferenceError('cancelled', 'The request was cancelled.');
}

function internal(error: unknown): InferenceError {
  return new InferenceError('internal', messageOf(error), { cause: error });
}
