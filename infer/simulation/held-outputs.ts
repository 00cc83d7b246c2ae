import type { ModelCosts } from '../schedule/costs.js';
import type { ScheduledGraph, ScheduledRequest, Slice } from '../schedule/types.js';

interface StepNow {
  items: number | undefined;
  done: number;
  elements: number;
  /** The bytes of its output on each host. */
  readonly bytes: Map<string, number>;
}

interface RequestNow {
  readonly request: ScheduledRequest;
  readonly steps: StepNow[];
}

/** Simulates the outputs that requests keep on hosts: an output stays until the steps after it are done, as on lanes. */
export class HeldOutputs {
  readonly #models: Readonly<Record<string, ModelCosts>>;
  /** Called when a host has more bytes, or fewer. */
  readonly #change: (host: string, bytes: number) => void;
  readonly #requests = new Map<number, RequestNow>();

  constructor(models: Readonly<Record<string, ModelCosts>>, change: (host: string, bytes: number) => void) {
    this.#models = models;
    this.#change = change;
  }

  begin(request: ScheduledRequest): void {
    const steps = request.graph.steps.map(() => ({
      items: undefined,
      done: 0,
      elements: 0,
      bytes: new Map(),
    }));
    this.#requests.set(request.id, { request, steps });
    this.#count(request.id);
  }

  /** Some items of a step are done. */
  done({ request: id, step, count }: Slice, host: string, elements: number): void {
    const now = this.#requests.get(id);
    const own = now?.steps[step];
    if (!now || !own) return;
    own.done += count;
    own.elements += elements;
    const { graph } = now.request;
    const costs = this.#models[graph.steps[step]?.model ?? ''];
    if (costs && costs.output > 0 && graph.steps.some(({ after }) => after.includes(step))) {
      const bytes = costs.output * count;
      own.bytes.set(host, (own.bytes.get(host) ?? 0) + bytes);
      this.#change(host, bytes);
    }
    this.#count(id);
    for (const [index, earlier] of now.steps.entries()) {
      const followers = graph.steps.flatMap(({ after }, at) =>
        after.includes(index) ? [now.steps[at] as StepNow] : [],
      );
      if (followers.every(({ items, done }) => items === done)) this.#drop(earlier);
    }
  }

  /** A request has ended, or begins again. */
  end(id: number): void {
    for (const step of this.#requests.get(id)?.steps ?? []) this.#drop(step);
    this.#requests.delete(id);
  }

  restart(id: number): void {
    const now = this.#requests.get(id);
    this.end(id);
    if (now) this.begin(now.request);
  }

  /** Sets the number of items of steps whose predecessors are done. */
  #count(id: number): void {
    const { request, steps } = this.#requests.get(id) as RequestNow;
    for (const [index, step] of steps.entries()) {
      const { after, each } = request.graph.steps[index] as ScheduledGraph['steps'][number];
      if (step.items !== undefined || !after.every((at) => steps[at]?.items === steps[at]?.done)) continue;
      step.items = each === undefined ? request.items : (steps[each]?.elements ?? 0);
    }
  }

  #drop(step: StepNow): void {
    for (const [host, bytes] of step.bytes) this.#change(host, -bytes);
    step.bytes.clear();
  }
}
