/** A host's report of its GPU, in milliseconds of its own clock: when it reached a mark, or when the GPU worked. */
export type GpuEvent =
  | { readonly mark: number; readonly at: number }
  | { readonly from: number; readonly to: number };

/** The GPU's time of a run, in milliseconds. */
export interface GpuTime {
  /** The run's own part: while the GPU worked for several lanes, an equal share counts. */
  readonly ms: number;
  /** How long the run was on the GPU, beside the runs of other lanes. */
  readonly busyMs: number;
}

interface Stretch {
  readonly from: number;
  to: number;
}

/** A run of a lane, as the host tells of it. */
interface WatchedRun {
  readonly lane: LaneGpu;
  /** When the host got there; undefined before it has told. */
  from: number | undefined;
  isOver: boolean;
  readonly work: Stretch[];
  resolve: ((time: GpuTime | undefined) => void) | undefined;
}

/** The most runs that are remembered. With more, a long run delays the times of the others no longer. */
const MOST_RUNS = 256;
/** The host asks its GPU again after each answer: a gap as short as this is none. */
const GAP_MS = 0.05;

/**
 * Divides the time of one host's GPU among the runs of its lanes. GPUs and software GPUs give processes time in turn, so
 * that runs which are on the GPU at once share it equally. The host's reports come late, and in any order between lanes.
 * So a run's time is known when the reports of all other lanes reach to the end of the run.
 */
export class GpuTimes {
  /** The run that began first is first. A run with a known time stays while others may have run beside it. */
  #runs: WatchedRun[] = [];

  /** A lane of the host. */
  lane(): LaneGpu {
    return new LaneGpu({
      began: (run) => {
        this.#runs.push(run);
        if (this.#runs.length > MOST_RUNS) this.#settle(true);
      },
      changed: () => this.#settle(false),
    });
  }

  /** Tells the times that are known; `oldest`: also of the oldest run, with what is known of the others. */
  #settle(oldest: boolean): void {
    for (const [index, run] of this.#runs.entries()) {
      if (!run.resolve || !run.isOver) continue;
      const end = run.work.at(-1)?.to ?? 0;
      const others = this.#runs.filter(({ lane }) => lane !== run.lane);
      if (!(oldest && index === 0) && others.some((other) => knownUntil(other) < end)) continue;
      run.resolve(timeOf(run, others));
      run.resolve = undefined;
    }
    if (oldest) this.#runs.shift()?.resolve?.(undefined);
    const open = this.#runs.filter(({ resolve }) => resolve);
    const since = Math.min(...open.map(({ from = Number.NEGATIVE_INFINITY }) => from));
    this.#runs = this.#runs.filter((run) => run.resolve || (run.work.at(-1)?.to ?? 0) > since);
  }
}

/** The runs of one lane: it does one after the other. */
export class LaneGpu {
  readonly #began: (run: WatchedRun) => void;
  readonly #changed: () => void;
  /** The runs that are not over, by number. */
  readonly #open = new Map<number, WatchedRun>();
  #isStopped = false;
  #runs = 0;

  constructor({ began, changed }: { began: (run: WatchedRun) => void; changed: () => void }) {
    this.#began = began;
    this.#changed = changed;
  }

  /** A run begins. Its marks are `begin` and `end`. The promise never rejects: undefined where the host did not tell. */
  begin(): { begin: number; end: number; time: Promise<GpuTime | undefined> } {
    const number = this.#runs++;
    const time = new Promise<GpuTime | undefined>((resolve) => {
      if (this.#isStopped) {
        resolve(undefined);
        return;
      }
      const run: WatchedRun = { lane: this, from: undefined, isOver: false, work: [], resolve };
      this.#open.set(number, run);
      this.#began(run);
    });
    return { begin: 2 * number, end: 2 * number + 1, time };
  }

  tell(event: GpuEvent): void {
    if ('mark' in event) {
      const number = event.mark >> 1;
      const run = this.#open.get(number);
      if (!run) return;
      if (event.mark % 2 === 0) run.from = event.at;
      else {
        run.isOver = true;
        this.#open.delete(number);
      }
    } else {
      // Work before the first mark is that of loading.
      const run = [...this.#open.values()].find(({ from }) => from !== undefined);
      if (!run) return;
      const last = run.work.at(-1);
      const from = Math.max(event.from, run.from as number);
      if (last && from - last.to < GAP_MS) last.to = event.to;
      else if (event.to > from) run.work.push({ from, to: event.to });
    }
    this.#changed();
  }

  /** The host tells nothing more, or never has. */
  stop(): void {
    this.#isStopped = true;
    for (const run of this.#open.values()) {
      run.isOver = true;
      run.resolve?.(undefined);
      run.resolve = undefined;
    }
    this.#open.clear();
    this.#changed();
  }
}

/** Until when it is known what a run did. */
function knownUntil({ isOver, work, from = Number.NEGATIVE_INFINITY }: WatchedRun): number {
  return isOver ? Number.POSITIVE_INFINITY : (work.at(-1)?.to ?? from);
}

function timeOf({ work }: WatchedRun, others: readonly WatchedRun[]): GpuTime {
  const beside = others.flatMap((other) => other.work);
  let ms = 0;
  let busyMs = 0;
  for (const { from, to } of work) {
    busyMs += to - from;
    const here = beside.filter((other) => other.to > from && other.from < to);
    const edges = here.flatMap((other) => [other.from, other.to]).filter((edge) => edge > from && edge < to);
    const points = [from, ...edges.sort((a, b) => a - b), to];
    for (let index = 1; index < points.length; index += 1) {
      const [begin, end] = [points[index - 1] as number, points[index] as number];
      const sharing = here.filter((other) => other.from <= begin && other.to >= end).length;
      ms += (end - begin) / (1 + sharing);
    }
  }
  return { ms, busyMs };
}
