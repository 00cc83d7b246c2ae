/** An event of the trace-event format, as Farlight writes them. */
export interface TraceEvent {
  name: string;
  ph: string;
  pid: number;
  tid: number;
  ts: number;
  dur?: number;
  id?: number;
  args?: Record<string, unknown>;
}

export interface TraceDocument {
  traceEvents: TraceEvent[];
  otherData: Record<string, unknown>;
}

/** Times are written in thousandths of a microsecond; what floating point makes of a sum is less. */
const TOLERANCE_US = 1e-4;

/**
 * Holds a trace against the rules of the format ("Trace Event Format", JSON object form), and against what we promise
 * beside it: each slice ends no sooner than the one before it in its track, and lies within or beside it. Throws with
 * the first event that breaks one.
 */
export function checkTrace(text: string): TraceDocument {
  const document = JSON.parse(text) as TraceDocument;
  if (!Array.isArray(document.traceEvents)) throw new Error('a trace has a list of events');
  const checker = new Checker();
  for (const event of document.traceEvents) checker.add(event);
  checker.finish();
  return document;
}

class Checker {
  readonly #processes = new Set<number>();
  readonly #threads = new Set<string>();
  readonly #slices = new Map<string, TraceEvent[]>();
  readonly #counters = new Map<string, number>();
  readonly #arrows = new Map<number, TraceEvent[]>();

  add(event: TraceEvent): void {
    const { name, ph, pid, tid, ts } = event;
    const fail = (why: string): never => {
      throw new Error(`${why}: ${JSON.stringify(event)}`);
    };
    if (typeof name !== 'string' || name === '') fail('an event has a name');
    for (const id of [pid, tid])
      if (!Number.isSafeInteger(id) || id < 0) fail('pid and tid are whole numbers');
    if (!Number.isFinite(ts) || ts < 0) fail('ts is a time in microseconds');
    if (ph === 'M') this.#metadata(event, fail);
    else if (ph === 'X') this.#slice(event, fail);
    else if (ph === 'C') this.#counter(event, fail);
    else if (ph === 's' || ph === 'f') this.#arrow(event, fail);
    else fail('an event of another kind');
  }

  finish(): void {
    for (const [track, slices] of this.#slices) {
      if (!this.#threads.has(track)) throw new Error(`the track ${track} has no name`);
      checkNesting(slices);
    }
    for (const ends of this.#arrows.values()) this.#checkArrow(ends);
  }

  #metadata({ name, pid, tid, args }: TraceEvent, fail: (why: string) => never): void {
    if (name === 'process_name' && typeof args?.name === 'string') this.#processes.add(pid);
    else if (name === 'thread_name' && typeof args?.name === 'string') this.#threads.add(`${pid}/${tid}`);
    else if (!name.endsWith('_sort_index') || !Number.isSafeInteger(args?.sort_index))
      fail('metadata of no kind');
  }

  #slice(event: TraceEvent, fail: (why: string) => never): void {
    const { pid, tid, dur } = event;
    if (dur === undefined || !Number.isFinite(dur) || dur < 0) fail('a complete event has a duration');
    if (!this.#processes.has(pid)) fail('its process has no name yet');
    const track = `${pid}/${tid}`;
    const slices = this.#slices.get(track) ?? [];
    const before = slices.at(-1);
    if (before && endOf(event) < endOf(before) - TOLERANCE_US) fail('it ends before the one before it');
    slices.push(event);
    this.#slices.set(track, slices);
  }

  #counter({ name, pid, ts, args }: TraceEvent, fail: (why: string) => never): void {
    const values = Object.values(args ?? {});
    if (values.length === 0 || !values.every(Number.isFinite)) fail('a counter has numbers');
    const key = `${pid}/${name}`;
    if (ts < (this.#counters.get(key) ?? 0)) fail('a counter goes back in time');
    this.#counters.set(key, ts);
  }

  #arrow(event: TraceEvent, fail: (why: string) => never): void {
    const { id = fail('an arrow has an id') } = event;
    const ends = this.#arrows.get(id) ?? [];
    if (event.ph === 's' ? ends.length !== 0 : ends.length !== 1)
      fail('an arrow has a beginning and then an end');
    ends.push(event);
    this.#arrows.set(id, ends);
  }

  /** Each of its ends lies in a slice of its track. */
  #checkArrow(ends: TraceEvent[]): void {
    for (const { pid, tid, ts } of ends) {
      const slices = this.#slices.get(`${pid}/${tid}`) ?? [];
      if (!slices.some((slice) => slice.ts <= ts + TOLERANCE_US && ts <= endOf(slice) + TOLERANCE_US)) {
        throw new Error(`an arrow ends in no slice of ${pid}/${tid} at ${ts}`);
      }
    }
    const [from, to] = ends;
    if (!from || !to || to.ts < from.ts) throw new Error('an arrow leads back in time, or nowhere');
  }
}

function endOf({ ts, dur = 0 }: TraceEvent): number {
  return ts + dur;
}

/** Two slices of a track lie one within the other, or beside it. */
function checkNesting(slices: readonly TraceEvent[]): void {
  const open: TraceEvent[] = [];
  for (const slice of slices.toSorted((a, b) => a.ts - b.ts || endOf(b) - endOf(a))) {
    while (open.length > 0 && endOf(open.at(-1) as TraceEvent) <= slice.ts + TOLERANCE_US) open.pop();
    const outer = open.at(-1);
    if (outer && endOf(slice) > endOf(outer) + TOLERANCE_US) {
      throw new Error(`two slices overlap: ${JSON.stringify(outer)} and ${JSON.stringify(slice)}`);
    }
    open.push(slice);
  }
}
