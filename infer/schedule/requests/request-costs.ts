import { type Affine, at, type ModelCosts, runTime } from '../costs.js';
import type { ScheduledGraph } from '../types.js';
import type { Progress, Task } from './progress.js';

interface GraphCosts {
  /** For each step, the time of all following steps. */
  readonly after: readonly Affine[];
  /** For each step, the bytes of an item that stay until the following steps have run. */
  readonly output: readonly number[];
  /** Bytes of the largest step, with one item and its weights. */
  readonly peak: number;
  /** The step that needs them. */
  readonly peakStep: number;
}

/** The costs of whole requests, by the costs of the models in their graphs. */
export class RequestCosts {
  readonly #costsOf: (model: string) => ModelCosts | undefined;
  #graphs = new WeakMap<ScheduledGraph, GraphCosts>();

  constructor(costsOf: (model: string) => ModelCosts | undefined) {
    this.#costsOf = costsOf;
  }

  /** A model's costs have changed. */
  changed(): void {
    this.#graphs = new WeakMap();
  }

  /** The time of the steps after a task's step. */
  timeAfter({ request, step }: Task): Affine {
    return this.#of(request.graph).after[step] as Affine;
  }

  /** Whether a task's output stays on the lane for the following steps. */
  outputStays({ request, step }: Task): boolean {
    return (this.#of(request.graph).output[step] as number) > 0;
  }

  /** Bytes of the outputs that are the inputs of one item of a task. */
  inputBytes({ request, step }: Task): number {
    const { output } = this.#of(request.graph);
    return (request.graph.steps[step]?.after ?? []).reduce(
      (sum, before) => sum + (output[before] as number),
      0,
    );
  }

  /** The bytes that a host needs to finish a request alone, one item at a time. */
  bytesToFinish({ graph, tasks, request }: Progress): number {
    const { peak, output } = this.#of(graph);
    return output.reduce((sum, bytes, step) => sum + bytes * (tasks[step]?.items ?? request.items), peak);
  }

  /** The same for a request that has not begun, and the model that needs the largest part of it. */
  bytesFor(graph: ScheduledGraph, items: number): { bytes: number; largest: string } {
    const { peak, peakStep, output } = this.#of(graph);
    return {
      bytes: output.reduce((sum, bytes) => sum + bytes * items, peak),
      largest: graph.steps[peakStep]?.model ?? '',
    };
  }

  #of(graph: ScheduledGraph): GraphCosts {
    let costs = this.#graphs.get(graph);
    if (!costs) {
      costs = this.#sum(graph);
      this.#graphs.set(graph, costs);
    }
    return costs;
  }

  #sum({ steps }: ScheduledGraph): GraphCosts {
    const following = followers(steps);
    const models = steps.map(({ model }) => this.#costsOf(model));
    const after = following.map((later) => {
      const sum: Affine = { base: 0, perItem: 0 };
      for (const step of later) {
        const costs = models[step];
        if (!costs) continue;
        const { base, perItem } = runTime(costs);
        sum.base += base;
        sum.perItem += perItem;
      }
      return sum;
    });
    let peak = 0;
    let peakStep = 0;
    for (const [step, costs] of models.entries()) {
      const bytes = costs ? costs.weights + at(costs.memory, 1) : 0;
      if (bytes > peak) [peak, peakStep] = [bytes, step];
    }
    const output = models.map((costs, step) =>
      steps[step]?.leaves || following[step]?.size === 0 ? 0 : (costs?.output ?? 0),
    );
    return { after, output, peak, peakStep };
  }
}

/** For each step, all steps after it. */
function followers(steps: ScheduledGraph['steps']): Set<number>[] {
  const following = steps.map(() => new Set<number>());
  for (let step = steps.length - 1; step >= 0; step -= 1) {
    for (const before of steps[step]?.after ?? []) {
      following[before]?.add(step);
      for (const later of following[step] ?? []) following[before]?.add(later);
    }
  }
  return following;
}
