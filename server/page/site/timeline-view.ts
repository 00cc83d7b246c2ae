// Which part of the time the timeline shows. Pure: no page, no clock. Times are milliseconds.

const SHORTEST = 0.5;
const LONGEST = 120_000;

export class TimelineView {
  /** How much is shown. */
  span = 5000;
  /** The end of what is shown; undefined while the newest is shown. */
  end: number | undefined;
  /** The end of what there is. */
  now = 0;

  get to(): number {
    return this.end ?? this.now;
  }

  get from(): number {
    return this.to - this.span;
  }

  get live(): boolean {
    return this.end === undefined;
  }

  follow(): void {
    this.end = undefined;
  }

  /** Shows what is shown now, and does not go on. */
  stop(): void {
    this.end = this.to;
  }

  /**
   * Makes a second take `factor` times as much room. What is at the share `anchor` of the width stays there: by
   * default the newest while that is followed, and the middle otherwise.
   */
  zoom(factor: number, anchor: number = this.live ? 1 : 0.5): void {
    const fixed = this.from + anchor * this.span;
    const followed = this.live && anchor === 1;
    this.span = Math.min(LONGEST, Math.max(SHORTEST, this.span / factor));
    if (!followed) this.#endAt(fixed + (1 - anchor) * this.span);
  }

  /** Goes on by a share of what is shown; back where that is negative. */
  pan(share: number): void {
    this.#endAt(this.to + share * this.span);
  }

  #endAt(end: number): void {
    this.end = end >= this.now ? undefined : end;
  }
}

/** The times of a scale: round ones, about `count` of them. */
export function ticks(from: number, to: number, count: number): number[] {
  const rough = (to - from) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((each) => each * power >= rough) ?? 10);
  const first = Math.ceil(from / step) * step;
  return Array.from({ length: Math.floor((to - first) / step) + 1 }, (_, index) => first + index * step);
}
