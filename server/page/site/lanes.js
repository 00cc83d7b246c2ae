// What a session did, sorted into the lanes of the timeline. Pure: no page, no clock.

/** proto/activity.ts has what the kinds are. */
const KIND = { received: 0, executed: 1, awaited: 2, compiled: 3, gpu: 4, sent: 5 };

export const LANES = [
  {
    key: 'program',
    title: 'Program and line',
    color: '--lane-program',
    about: 'the host waits for the program',
  },
  { key: 'wire', title: 'Wire', color: '--lane-wire', about: 'batches that come in, replies that leave' },
  { key: 'executor', title: 'Executor', color: '--lane-executor', about: 'batches that are carried out' },
  { key: 'compile', title: 'Compiling', color: '--lane-compile', about: 'shader modules and pipelines' },
  { key: 'gpu', title: 'GPU', color: '--lane-gpu', about: 'busy with what was submitted' },
  { key: 'wait', title: 'Waits', color: '--lane-wait', about: 'the program awaits an answer' },
];

const MOST_SPANS = 20_000;

/** The spans of one session, by lane, each lane in the order in which they ended. */
export class Lanes {
  lanes = new Map(LANES.map(({ key }) => [key, []]));
  /** When the last thing ended that is known of; milliseconds since 1970, the executor's clock. */
  last = 0;
  /** How many spans were left out, by the host or here. */
  left = 0;
  #count = 0;
  /** When the host last answered, and nothing has come since. */
  #answered;

  add({ spans, left }) {
    this.left += left;
    for (const { kind, name, label, start, end, bytes } of spans) {
      this.last = Math.max(this.last, end);
      if (kind === KIND.received) {
        if (this.#answered !== undefined && start > this.#answered) {
          this.#put('program', { start: this.#answered, end: start, text: 'the program and the line' });
        }
        this.#answered = undefined;
        this.#put('wire', { start, end, bytes, text: 'a batch came in' });
      } else if (kind === KIND.sent) {
        this.#answered = end;
        this.#put('wire', { start, end, bytes, text: 'replies left' });
      } else if (kind === KIND.executed) {
        this.#put('executor', { start, end, bytes, text: 'a batch was carried out' });
      } else if (kind === KIND.compiled) {
        this.#put('compile', { start, end, text: labelled(name, label) });
      } else if (kind === KIND.gpu) {
        this.#put('gpu', { start, end, text: 'the GPU was busy' });
      } else if (kind === KIND.awaited) {
        this.#put('wait', { start, end, text: labelled(name, label) });
      }
    }
    if (this.#count > MOST_SPANS) this.#drop();
  }

  #put(lane, span) {
    this.lanes.get(lane).push(span);
    this.#count += 1;
  }

  /** Gives up the older half of the time. */
  #drop() {
    const ends = [...this.lanes.values()]
      .flatMap((spans) => spans.map(({ end }) => end))
      .sort((a, b) => a - b);
    const from = ends[ends.length >> 1];
    this.#count = 0;
    for (const [key, spans] of this.lanes) {
      const kept = spans.filter(({ end }) => end >= from);
      this.lanes.set(key, kept);
      this.#count += kept.length;
    }
  }

  /** What each lane has between two times: how many spans, how long something was there, and the longest. */
  summary(from, to) {
    return LANES.map(({ key, title, about }) => {
      let busy = 0;
      let until = from;
      let longest;
      let count = 0;
      const inView = this.lanes.get(key).filter(({ start, end }) => end >= from && start <= to);
      for (const span of inView.sort((a, b) => a.start - b.start)) {
        count += 1;
        // Spans may lie over each other.
        const begin = Math.max(span.start, until);
        const end = Math.min(span.end, to);
        if (end > begin) {
          busy += end - begin;
          until = end;
        }
        if (!longest || span.end - span.start > longest.end - longest.start) longest = span;
      }
      return { key, title, about, count, busy, longest };
    });
  }

  /** The span of a lane at a time, the shortest where several are; `slack` milliseconds beside it count. */
  find(lane, time, slack) {
    let found;
    for (const span of this.lanes.get(lane) ?? []) {
      if (span.start - slack > time || span.end + slack < time) continue;
      if (!found || span.end - span.start < found.end - found.start) found = span;
    }
    return found;
  }
}

function labelled(name, label) {
  return label ? `${name} "${label}"` : name;
}
