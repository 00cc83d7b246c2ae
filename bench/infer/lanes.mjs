// Lanes that stay open from one engine to the next: opening one takes a second, and its first runs compile.
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { zeros } from '../../dist/infer/engine/request/values.js';
import { at } from '../../dist/infer/schedule/costs.js';
import { SharedGpu } from '../../dist/infer/simulation/shared-gpu.js';

/** ONNX Runtime has other kernels for a single item. */
const WARM_BATCHES = [1, 8];

/** The lanes of a GPU host. Engines that are closed give them back, with nothing loaded. */
export class LanePool {
  /** How many runs failed for want of memory, and how many reservations a host refused. */
  outOfMemory = 0;
  refused = 0;
  /** The runs that ended well: their model and batch, and their milliseconds on the GPU and elsewhere. */
  runs = [];
  /** By model, the weights and the time of its last load. */
  loads = {};
  #host;
  #models;
  #gpu;
  #all = 0;
  #idle = [];

  /**
   * `models`: their folder, their names and the shapes of their items. `gpu` has the time of runs pass; without it they
   * take what the host takes.
   */
  constructor(host, models, gpu) {
    this.#host = host;
    this.#models = models;
    this.#gpu = gpu;
  }

  /** Opens so many lanes, one after the other: an engine gives up a host whose lanes open too slowly. */
  async prepare(lanes) {
    while (this.#idle.length < lanes) this.#idle.push(await this.#openNew());
  }

  /** The host with so many lanes, for one engine. */
  host(lanes) {
    const { name, resource, memory, adapter } = this.#host;
    return { name, resource, memory, adapter, lanes, openLane: (lane) => this.#open(lane) };
  }

  async close() {
    await Promise.all(this.#idle.map((lane) => lane.close()));
  }

  /** Each model runs on it, so that it has compiled all shaders. */
  async #openNew() {
    const lane = await this.#host.openLane(`lane ${this.#all++}`);
    const { folder, names, shapes } = this.#models;
    for (const id of names) {
      await lane.load({ id, file: join(folder, id, '1', 'model.onnx') });
      for (const count of WARM_BATCHES) {
        const value = zeros('x', 'FP32', [count, ...shapes[id]]);
        await lane.run({
          model: id,
          inputs: { x: [{ value, from: 0, count }] },
          parts: [count],
          keep: [],
          fetch: ['y'],
        });
      }
      await lane.unload(id);
    }
    return lane;
  }

  async #open(name) {
    const lane = this.#idle.pop() ?? (await this.#openNew());
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
        this.loads[nameOf(model.id)] = { weights: report.weights, load: report.ms };
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
          const passed = this.#gpu ? await this.#gpu.pass(run, report, start) : report;
          this.#record(run, passed, performance.now() - start);
          return passed;
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

  #record(run, report, ms) {
    const model = nameOf(run.model);
    void report.gpu?.then((gpu) => {
      if (gpu) this.runs.push({ model, batch: batchOf(run), gpu: gpu.ms, wait: ms - gpu.busyMs });
    });
  }
}

/** The engine's name of a model has the version behind it. */
function nameOf(id) {
  return id.split('@')[0];
}

function batchOf({ parts }) {
  return parts.reduce((sum, count) => sum + count, 0);
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

  async pass(run, report, start) {
    const ms = at(this.#costs[nameOf(run.model)], batchOf(run));
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
