import { queueMicrotask, setImmediate } from '../../link/machine/clock.js';
import { messageOf } from '../../proto/errors.js';
import type { Learned } from '../learned/learned.js';
import type { Resource } from '../schedule/costs.js';
import { type EngineScheduler, Scheduler } from '../schedule/scheduler.js';
import type { Decision, Outcome } from '../schedule/types.js';
import type { RequestSpan } from '../service/request-span.js';
import { InferenceError } from '../service/service.js';
import type { ServiceState } from '../service/state.js';
import type { Tensor } from '../service/tensor.js';
import type { Active } from './active.js';
import { type EngineHost, Hosts, type HostsOptions } from './hosts.js';
import { modelPlan } from './request/plan.js';
import { ActiveRequest } from './request/request.js';
import type { Unit } from './request/unit.js';
import { Runs } from './runs.js';
import { dispatcherState, type Queue } from './state.js';
import { UnitModels } from './unit-models.js';

export interface DispatcherOptions extends HostsOptions {
  readonly hosts: readonly EngineHost[];
  /** Farlight's own if left out. */
  readonly scheduler?: EngineScheduler | undefined;
}

export interface RunOptions {
  /** The request's tenant, and the weight of the tenant among tenants; 1 if left out. */
  readonly tenant?: string | undefined;
  readonly share?: number | undefined;
  /** How much the request counts beside others of its tenant; 1 if left out. */
  readonly weight?: number;
  /** The time of the clock after which nobody wants the result any more. */
  readonly deadline?: number;
  readonly signal?: AbortSignal | undefined;
  readonly internal?: Active['internal'];
  readonly onSpan?: ((span: RequestSpan) => void) | undefined;
}

/** In milliseconds. Node's timers go off at once where they should take longer than 24 days. */
const LONGEST_TIMER = 24 * 60 * 60 * 1000;

/** Takes requests, tells the scheduler of them, and carries out its decisions. Each request is answered once. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #scheduler: EngineScheduler;
  readonly #hosts: Hosts;
  readonly #runs: Runs;
  readonly #units = new Map<Unit, UnitModels>();
  readonly #requests = new Map<number, Active>();
  #ids = 0;
  #isPumping = false;
  /** A request has come, and nothing was decided since. */
  #hasArrived = false;
  /** When the timers that are open go off: each of them before the one that was set before it. */
  readonly #wakes: number[] = [];
  #isClosed = false;
  /** Called when a request has ended, with a result or without. */
  onEnd: () => void = () => {};

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#scheduler = options.scheduler ?? new Scheduler();
    this.#hosts = new Hosts(options.hosts, this.#scheduler, {
      ...options,
      changed: () => this.#pump(),
      resized: () => this.#resized(),
      gone: (resource, message) => this.#refuseAll(resource, message),
    });
    this.#runs = new Runs({
      scheduler: this.#scheduler,
      hosts: this.#hosts,
      requests: this.#requests,
      now: () => this.#now(),
      ended: () => this.#pump(),
    });
  }

  get hosts(): Pick<Hosts, 'has' | 'missing' | 'add' | 'remove'> {
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

  /** Called with the items of each run that has ended well. */
  set onRun(listener: (items: number) => void) {
    this.#runs.onRun = listener;
  }

  /** The hosts, lanes and queues as they are now, for the server's owner. */
  get state(): Pick<ServiceState, 'hosts' | 'lanes'> & { queues: Map<Unit, Queue> } {
    return dispatcherState({
      scheduler: this.#scheduler,
      hosts: this.#hosts,
      runs: this.#runs,
      units: this.#units,
      requests: this.#requests.values(),
      now: this.#now(),
    });
  }

  /** Requests may ask for a unit from now on. `bytes` is the size of its file. */
  serve(unit: Unit, kept: ReadonlyMap<string, Learned> = new Map(), bytes = 0): UnitModels {
    const largest = (): number => this.#hosts.largest;
    const models = new UnitModels(unit, this.#scheduler, { kept, bytes, largest });
    this.#units.set(unit, models);
    return models;
  }

  /** New requests may not ask for a unit any more. Its runs finish; requests that wait for it are refused. */
  withdraw(unit: Unit): void {
    this.#units.get(unit)?.remove();
    this.#units.delete(unit);
    this.#pump();
  }

  /**
   * Loads a unit's file onto a lane, to read its declarations.
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
    { tenant = '', share = 1, weight = 1, deadline, signal, internal, onSpan }: RunOptions = {},
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
        onSpan,
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
          tenant,
          share,
          weight,
          together: internal === 'learn',
          ...(deadline !== undefined && { deadline }),
          taskOf: (step) => this.#taskOf(active, step),
        },
        this.#now(),
      );
      this.#arrived();
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

  /** The model and the items of a step whose inputs are there, for the scheduler. */
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
      const failure = inferenceError(error);
      request.failure = { reason: failure.message, error: failure };
      return { reason: failure.message };
    }
  }

  /** Decides, once the requests are read that this turn of the event loop brings: those of a burst run together. */
  #arrived(): void {
    if (this.#hasArrived) return;
    this.#hasArrived = true;
    setImmediate(() => {
      // Another event may have had it decide before.
      if (this.#hasArrived) this.#decide();
    });
  }

  /** Decides, after all that this event has caused at once was reported. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    queueMicrotask(() => {
      this.#isPumping = false;
      this.#decide();
    });
  }

  #decide(): void {
    this.#hasArrived = false;
    for (const decision of this.#scheduler.decide(this.#now())) this.#carryOut(decision);
    const { lookAt } = this.#scheduler;
    if (lookAt !== undefined) this.#wake(lookAt);
  }

  /** Looks again at this time, if no timer goes off before. */
  #wake(at: number): void {
    const now = this.#now();
    const wakeAt = Math.min(at, now + LONGEST_TIMER);
    const next = this.#wakes.at(-1);
    if (next !== undefined && next <= wakeAt) return;
    this.#wakes.push(wakeAt);
    this.#options.clock.after(Math.max(0, wakeAt - now), () => {
      this.#wakes.splice(this.#wakes.indexOf(wakeAt), 1);
      this.#pump();
    });
  }

  #carryOut(decision: Decision): void {
    if (decision.kind === 'unload') {
      this.#hosts.unload(decision.lane, decision.file);
      return;
    }
    if (decision.kind === 'start') {
      void this.#runs.execute(decision.run);
      return;
    }
    const active = this.#requests.get(decision.request);
    if (!active) return;
    if (decision.kind === 'restart') this.#hosts.drop(active.request.restart());
    else this.#end(active, decision.outcome);
  }

  #end(active: Active, outcome: Outcome): void {
    const { request, internal } = active;
    if (outcome.is !== 'done') this.#settle(active, this.#errorOf(request, outcome));
    else if (internal) this.#settle(active, []);
    else {
      try {
        this.#settle(active, request.result());
      } catch (error) {
        this.#settle(active, inferenceError(error));
      }
    }
  }

  #errorOf({ plan, failure }: ActiveRequest, outcome: Exclude<Outcome, { is: 'done' }>): InferenceError {
    switch (outcome.is) {
      case 'expired':
        return new InferenceError('expired', `The request to ${plan.name} was not done within its timeout.`);
      case 'failed':
        return failure?.reason === outcome.reason
          ? failure.error
          : new InferenceError('internal', outcome.reason);
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
      // A request without items has no run that would count it.
      const isEmpty = !(result instanceof InferenceError) && !request.plan.isGraph && task.items === 0;
      if ((failed || isEmpty) && !active.internal) {
        task.unit.statistics.ended(this.#now() - readyAt, isEmpty);
      }
    }
    // A model's request that was refused at once has no task.
    if (result instanceof InferenceError && tasks.size === 0 && !active.internal && !request.plan.isGraph) {
      for (const { unit } of units) unit.statistics.ended(0, false);
    }
    for (const { unit } of units) unit.users -= 1;
    this.#hosts.drop(request.release());
    if (result instanceof InferenceError) active.reject(result);
    else active.resolve(result);
    this.onEnd();
  }
}

/** Seconds after which a server with so many milliseconds of work has room again. */
export function retryAfter(backlog: number): number {
  return Math.max(1, Math.ceil(backlog / 1000));
}

function cancelled(): InferenceError {
  return new InferenceError('cancelled', 'The request was cancelled.');
}

function inferenceError(error: unknown): InferenceError {
  if (error instanceof InferenceError) return error;
  return new InferenceError('internal', messageOf(error), { cause: error });
}
