/** A run that uses the GPU, in milliseconds. */
export interface GpuRun {
  /** When it is expected to reach the GPU, and how long it then uses the GPU. */
  readonly reachesGpu: number;
  readonly gpuMs: number;
}

interface Load {
  readonly run: GpuRun;
  /** How long it was expected to take, from its start on. */
  readonly wholeMs: number;
  /** Milliseconds that it still needs of the GPU. */
  left: number;
  /** When it should have ended; undefined before. */
  lateSince: number | undefined;
}

/**
 * The time that the current runs of a host still need of its GPU. Runs that are on the GPU at once share it equally. A run
 * that should have ended is held to take as long again as it is late. Once it is late by its whole time, it waits for
 * something else, such as a shader that is compiled, and the GPU is held to be free of it.
 */
export class GpuLoad {
  readonly #loads: Load[] = [];
  #now = 0;

  began(run: GpuRun, now: number): void {
    const wholeMs = run.reachesGpu + run.gpuMs - now;
    this.#loads.push({ run, wholeMs, left: run.gpuMs, lateSince: undefined });
  }

  ended(run: GpuRun, now: number): void {
    this.#advance(now);
    this.#loads.splice(
      this.#loads.findIndex((load) => load.run === run),
      1,
    );
  }

  /** When the GPU is expected to have done all runs that reach it until then. `planned` runs have not begun yet. */
  doneAt(reaches: number, now: number, planned: readonly GpuRun[]): number {
    this.#advance(now);
    let done = now;
    const coming = planned.filter(({ reachesGpu }) => reachesGpu <= reaches);
    for (const load of this.#loads) {
      const { run } = load;
      if (run.reachesGpu <= now) done += stillNeeds(load, now);
      else if (run.reachesGpu <= reaches) coming.push(run);
    }
    coming.sort((a, b) => a.reachesGpu - b.reachesGpu);
    for (const { reachesGpu, gpuMs } of coming) done = Math.max(done, reachesGpu) + gpuMs;
    return done;
  }

  /** When a run is expected to end. */
  endOf(run: GpuRun, now: number): number {
    this.#advance(now);
    const late = this.#loads.find((load) => load.run === run)?.lateSince;
    if (late !== undefined) return now + (now - late);
    const loads = this.#loads.map((load) => ({ ...load }));
    let end = now;
    share(loads, now, Number.POSITIVE_INFINITY, (ended, at) => {
      if (ended.run === run) end = at;
    });
    return end;
  }

  #advance(now: number): void {
    share(this.#loads, this.#now, now, (load, at) => {
      load.lateSince = at;
    });
    this.#now = Math.max(this.#now, now);
  }
}

/** Milliseconds that a run still needs of the GPU. */
function stillNeeds({ left, lateSince, wholeMs }: Load, now: number): number {
  if (lateSince === undefined) return left;
  const late = now - lateSince;
  return late < wholeMs ? late : 0;
}

/** Has the loads share the GPU from one time to another. `ends` is called for each that then needs no more. */
function share(
  loads: readonly Load[],
  from: number,
  to: number,
  ends: (load: Load, at: number) => void,
): void {
  const open = loads.filter(({ lateSince }) => lateSince === undefined);
  for (let now = from; now < to && open.length > 0; ) {
    const on = open.filter(({ run }) => run.reachesGpu <= now);
    let next = to;
    for (const { run } of open) if (run.reachesGpu > now) next = Math.min(next, run.reachesGpu);
    let [first] = on;
    for (const load of on) if (load.left < (first as Load).left) first = load;
    const end = first ? now + first.left * on.length : next;
    const each = end < next ? (first as Load).left : (next - now) / Math.max(1, on.length);
    for (const load of on) load.left -= each;
    now = Math.min(end, next);
    if (!first || end > next) continue;
    ends(first, now);
    open.splice(open.indexOf(first), 1);
  }
}
