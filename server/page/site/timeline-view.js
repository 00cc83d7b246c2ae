// Which part of the time the timeline shows. Pure: no page, no clock. Times are milliseconds.

const SHORTEST = 0.5;
const LONGEST = 120_000;

export class TimelineView {
  /** How much is shown. */
  span = 5000;
  /** The end of what is shown; undefined while the newest is shown. */
  end;
  /** The end of what there is. */
  now = 0;

  get to() {
    return this.end ?? this.now;
  }

  get from() {
    return this.to - this.span;
  }

  get live() {
    return this.end === undefined;
  }

  follow() {
    this.end = undefined;
  }

  /** Makes a second take `factor` times as much room. What is at the share `anchor` of the width stays there. */
  zoom(factor, anchor = this.live ? 1 : 0.5) {
    const fixed = this.from + anchor * this.span;
    const span = Math.min(LONGEST, Math.max(SHORTEST, this.span / factor));
    const stays = this.live && anchor === 1;
    this.span = span;
    if (!stays) this.#endAt(fixed + (1 - anchor) * span);
  }

  /** Goes on by a share of what is shown; back where that is negative. */
  pan(share) {
    this.#endAt(this.to + share * this.span);
  }

  #endAt(end) {
    this.end = end >= this.now ? undefined : end;
  }
}

/** Times of a scale: round ones, about `count` of them. */
export function ticks(from, to, count) {
  const rough = (to - from) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((each) => each * power >= rough) ?? 10);
  const first = Math.ceil(from / step) * step;
  return Array.from(
    { length: Math.max(0, Math.floor((to - first) / step) + 1) },
    (_, index) => first + index * step,
  );
}
