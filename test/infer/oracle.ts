import { at, type ModelCosts } from '#farlight/infer/schedule/costs.js';
import type { SimulatedHost } from '#farlight/infer/simulation/machine.js';

/** Requests of one kind: chains of models, each with when its items come. */
export interface OracleCase {
  readonly models: Readonly<Record<string, ModelCosts>>;
  readonly hosts: readonly SimulatedHost[];
  /** The models that a request runs, one after the other. */
  readonly chains: readonly (readonly string[])[];
  /** The chain of each request, by its index, and when it comes. */
  readonly requests: readonly { readonly chain: number; readonly at: number }[];
}

/** The sum of the requests' latencies, or when the last one ends. */
export type Aim = 'latency' | 'makespan';

interface LaneNow {
  /** Until it reaches the GPU, or ends; undefined while the lane is idle. */
  left: number | undefined;
  /** The time that the run will take of the GPU once it gets there; undefined when it has. */
  gpu: number | undefined;
  memory: number;
  /** By class, how many of its items will have got there when it ends. */
  gives: readonly number[];
}

interface Now {
  waiting: readonly number[];
  /** How many requests have come. */
  come: number;
  /** Time until the next one comes is counted from here. */
  time: number;
  lanes: readonly LaneNow[];
}

const idle: LaneNow = { left: undefined, gpu: undefined, memory: 0, gives: [] };

/**
 * The best that any schedule can reach which knows all that will come. It tries every schedule whose runs start when
 * something happens: a request comes, or a run reaches the GPU or ends.
 */
export function best({ models, hosts, chains, requests }: OracleCase, aim: Aim): number {
  const lanes = hosts.flatMap(({ lanes }, host) => lanes.map(() => host));
  // A class is a step of a chain.
  const classes = chains.flatMap((chain, index) =>
    chain.map((model, step) => ({ chain: index, step, model })),
  );
  const classOf = (chain: number, step: number): number =>
    classes.findIndex((each) => each.chain === chain && each.step === step);
  const next = classes.map(({ chain, step }) => classOf(chain, step + 1));
  const arrivals = [...requests].sort((a, b) => a.at - b.at);
  const names = Object.keys(models);
  const byModel = names.map((name) => classes.flatMap(({ model }, index) => (model === name ? [index] : [])));
  // For each class, the time that a request takes from there on if it is alone.
  const alone = classes.map(() => 0);
  for (let index = classes.length - 1; index >= 0; index -= 1) {
    const costs = models[classes[index]?.model ?? ''] as ModelCosts;
    const following = next[index] as number;
    alone[index] = at(costs.wait, 1) + at(costs.gpu, 1) + (following < 0 ? 0 : (alone[following] as number));
  }
  const memo = new Map<string, number>();

  function unfinished({ waiting, lanes }: Now): number {
    let sum = 0;
    for (const count of waiting) sum += count;
    for (const { gives, left } of lanes) if (left !== undefined) for (const count of gives) sum += count;
    return sum;
  }

  function fromNow(now: Now): number {
    const open = unfinished(now);
    const nextArrival = arrivals[now.come];
    if (open === 0 && !nextArrival) return 0;
    const key = `${now.come};${nextArrival ? now.time : ''};${now.waiting};${now.lanes
      .map(({ left, gpu, gives, memory }) => (left === undefined ? '-' : `${left},${gpu},${memory},${gives}`))
      .join('|')}`;
    const known = memo.get(key);
    if (known !== undefined) return known;
    let least = Number.POSITIVE_INFINITY;
    choose(now, 0, 0, (chosen) => {
      serve(chosen, 0, (served) => {
        least = Math.min(least, advance(served, open, least));
      });
    });
    memo.set(key, least);
    return least;
  }

  /** Tries for each idle lane every run that fits, and none. Of two idle lanes of a host the first has the later model. */
  function choose(now: Now, lane: number, least: number, then: (now: Now) => void): void {
    if (lane === lanes.length) {
      then(now);
      return;
    }
    const host = lanes[lane] as number;
    const from = lane > 0 && lanes[lane - 1] === host ? least : 0;
    if (now.lanes[lane]?.left !== undefined) {
      choose(now, lane + 1, 0, then);
      return;
    }
    let free = hosts[host]?.capacity.bytes ?? 0;
    for (const [at, each] of now.lanes.entries()) {
      if (lanes[at] === host && each.left !== undefined) free -= each.memory;
    }
    for (let index = from; index < names.length; index += 1) {
      const costs = models[names[index] as string] as ModelCosts;
      compose(now.waiting, byModel[index] as number[], costs.maxBatch, (taken, batch) => {
        const memory = at(costs.memory, batch);
        if (memory > free) return;
        const gpu = at(costs.gpu, batch);
        const left = at(costs.wait, batch);
        const started: LaneNow = { left, gpu: gpu > 0 ? gpu : undefined, memory, gives: taken };
        const waiting = now.waiting.map((count, at) => count - (taken[at] as number));
        const states = now.lanes.map((each, at) => (at === lane ? started : each));
        choose({ ...now, waiting, lanes: states }, lane + 1, index, then);
      });
    }
    choose(now, lane + 1, names.length, then);
  }

  /** Every way to take at least one item, and at most so many, of these classes. */
  function compose(
    waiting: readonly number[],
    from: readonly number[],
    most: number,
    each: (taken: number[], batch: number) => void,
  ): void {
    const taken = waiting.map(() => 0);
    const go = (at: number, batch: number): void => {
      if (at === from.length) {
        if (batch > 0) each([...taken], batch);
        return;
      }
      const index = from[at] as number;
      for (let count = 0; count <= Math.min(waiting[index] as number, most - batch); count += 1) {
        taken[index] = count;
        go(at + 1, batch + count);
      }
      taken[index] = 0;
    };
    go(0, 0);
  }

  /** Tries for each host whose GPU is free every run that has reached it, and none: some may be worth waiting for. */
  function serve(now: Now, host: number, then: (now: Now) => void): void {
    if (host === hosts.length) {
      then(now);
      return;
    }
    serve(now, host + 1, then);
    const here = now.lanes.flatMap((lane, at) => (lanes[at] === host ? [{ lane, at }] : []));
    if (here.some(({ lane }) => lane.left !== undefined && lane.gpu === undefined)) return;
    for (const { lane, at } of here) {
      if (lane.left !== 0 || lane.gpu === undefined) continue;
      const served: LaneNow = { ...lane, left: lane.gpu, gpu: undefined };
      serve(
        { ...now, lanes: now.lanes.map((each, index) => (index === at ? served : each)) },
        host + 1,
        then,
      );
    }
  }

  /** The cost until the next event, and from there on. */
  function advance(
    { waiting: before, come: came, time: from, lanes: states }: Now,
    open: number,
    least: number,
  ): number {
    const coming = arrivals[came];
    let step = coming ? coming.at - from : Number.POSITIVE_INFINITY;
    for (const { left, gpu } of states) {
      // One that has reached the GPU and was not served waits for something else to happen.
      if (left !== undefined && !(left === 0 && gpu !== undefined)) step = Math.min(step, left);
    }
    if (step === Number.POSITIVE_INFINITY) return step;
    const waiting = [...before];
    const then: LaneNow[] = [];
    for (const lane of states) {
      if (lane.left === undefined) {
        then.push(lane);
        continue;
      }
      const left = Math.max(0, lane.left - step);
      if (left > 0 || (lane.gpu ?? 0) > 0) {
        then.push({ ...lane, left });
        continue;
      }
      for (const [index, count] of lane.gives.entries()) {
        const following = next[index] as number;
        if (following >= 0) waiting[following] = (waiting[following] as number) + count;
      }
      then.push(idle);
    }
    let come = came;
    const time = from + step;
    for (let arrival = arrivals[come]; arrival && arrival.at <= time; arrival = arrivals[come]) {
      const index = classOf(arrival.chain, 0);
      waiting[index] = (waiting[index] as number) + 1;
      come += 1;
    }
    const cost = aim === 'makespan' ? step : open * step;
    const after: Now = { waiting, come, time, lanes: then };
    // Skips schedules that cannot be better than the best so far.
    if (cost + atLeast(after) >= least) return Number.POSITIVE_INFINITY;
    return cost + fromNow(after);
  }

  /** The least cost of the requests that have come, from now on: each of them as if it were alone. */
  function atLeast({ waiting, lanes }: Now): number {
    let sum = 0;
    let longest = 0;
    const add = (count: number, ms: number): void => {
      if (count === 0) return;
      sum += count * ms;
      longest = Math.max(longest, ms);
    };
    for (const [index, count] of waiting.entries()) add(count, alone[index] as number);
    for (const { left, gpu = 0, gives } of lanes) {
      if (left === undefined) continue;
      for (const [index, count] of gives.entries()) {
        const following = next[index] as number;
        add(count, left + gpu + (following < 0 ? 0 : (alone[following] as number)));
      }
    }
    return aim === 'makespan' ? longest : sum;
  }

  // Requests that come at 0 are there.
  const waiting = classes.map(() => 0);
  let come = 0;
  for (let arrival = arrivals[come]; arrival && arrival.at <= 0; arrival = arrivals[come]) {
    const index = classOf(arrival.chain, 0);
    waiting[index] = (waiting[index] as number) + 1;
    come += 1;
  }
  return fromNow({ waiting, come, time: 0, lanes: lanes.map(() => idle) });
}
