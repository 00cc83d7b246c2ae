// Lanes that stay open from one engine to the next: opening one takes a second, and its first runs compile.
import { performance } from 'node:perf_hooks';
import { at } from '../../dist/infer/schedule/costs.js';
import { SharedGpu } from '../../dist/infer/simulation/shared-gpu.js';

/** The lanes of a GPU host. Engines that are closed give them back, with nothing loaded. */
export class LanePool {
  /** How many runs failed for want of memory, and how many reservations a host refused. */
  outOfMemory = 0;
  refused = 0;
  /** By model, the weights and the time of its last load. */
  loads = {};
  #host;
  #gpu;
  #all = 0;
  #idle = [];

  /** `gpu` has the time of runs pass; without it they take what the host takes. */
  constructor(host, gpu) {
    this.#host = host;
    this.#gpu = gpu;
  }

  /** The host with so many lanes, for one engine. */
  host(lanes) {
    const { name, resource, memory, adapter } = this.#host;
    return { name, resource, memory, adapter, lanes, openLane: (lane) => this.#open(lane) };
  }

  async close() {
    await Promise.all(this.#idle.map((lane) => lane.close()));
  }

  async #open(name) {
    const lane = this.#idle.pop() ?? (await this.#host.openLane(`lane ${this.#all++}`));
    const loaded = new Set();
    let lose;
    const lost = new Promise((resolve) => {
      lose = resolve;
    });
    void lane.lost.then(lose);
    return {
      name,
      memory: lane.memory,
      lost,
      load: async (model) => {
        loaded.add(model.id);
        const report = await lane.load(model);
        this.loads[model.id.split('@')[0]] = { weights: report.weights, load: report.ms };
        return report;
      },
      unload: (id) => {
        loaded.delete(id);
        return lane.unload(id);
      },
      run: async (run) => {
        const start = performance.now();
        try {
          const report = await lane.run(run);
          return this.#gpu ? await this.#gpu.pass(run, report, start) : report;
        } catch (error) {
          if (error.taken) this.refused += 1;
          else if (error.memory) this.outOfMemory += 1;
          throw error;
        }
      },
      fetch: (values) => lane.fetch(values),
      drop: (values) => lane.drop(values),
      close: async () => {
        lose('It was closed.');
        for (const id of loaded) await lane.unload(id);
        this.#idle.push(lane);
      },
    };
  }
}

/** A GPU whose time is given, and which runs share. The host's own GPU executes nothing. */
export class GivenGpu {
  #costs;
  #gpu = new SharedGpu();
  #timer;

  /** By model, the time of a run by its batch. */
  constructor(costs) {
    this.#costs = costs;
  }

  async pass({ model, parts }, report, start) {
    const batch = parts.reduce((sum, count) => sum + count, 0);
    const ms = at(this.#costs[model.split('@')[0]], batch);
    const reached = performance.now();
    await new Promise((ends) => {
      this.#end(reached);
      this.#gpu.add(ends, ms, reached);
      this.#wait();
    });
    const done = performance.now();
    const all = done - start;
    const gpu = Promise.resolve({ ms, busyMs: done - reached });
    return { ...report, ms: all, inferMs: all - report.inputMs, gpu };
  }

  #end(now) {
    for (const ends of this.#gpu.take(now)) ends();
  }

  #wait() {
    clearTimeout(this.#timer);
    const end = this.#gpu.nextEnd;
    if (end === undefined) return;
    this.#timer = setTimeout(() => {
      this.#end(performance.now());
      this.#wait();
    }, end - performance.now());
  }
}
