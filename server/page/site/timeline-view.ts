// The part of the time that the timeline shows. Pure: no page, no clock. Times are milliseconds.

const SHORTEST = 0.5;
const LONGEST = 120_000;

export class TimelineView {
  /** The length of the visible part. */
  span = 5000;
  /** The end of the visible part; undefined while it follows the newest spans. */
  end: number | undefined;
  /** The end of the session so far. */
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

  /** Keeps the current part, and stops following. */
  stop(): void {
    this.end = this.to;
  }

  /**
   * Makes a second `factor` times as wide. The time at the share `anchor` of the width keeps its place: by default the
   * newest while the view follows it, and otherwise the middle.
   */
  zoom(factor: number, anchor: number = this.live ? 1 : 0.5): void {
    const fixed = this.from + anchor * this.span;
    const followed = this.live && anchor === 1;
    this.span = Math.min(LONGEST, Math.max(SHORTEST, this.span / factor));
    if (!followed) this.#endAt(fixed + (1 - anchor) * this.span);
  }

  /** Moves forward by a share of the visible part, or back if the share is negative. */
  pan(share: number): void {
    this.#endAt(this.to + share * this.span);
  }

  #endAt(end: number): void {
    this.end = end >= this.now ? undefined : end;
  }
}

/** About `count` round times, for a scale. */
export function ticks(from: number, to: number, count: number): number[] {
  const rough = (to - from) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((each) => each * power >= rough) ?? 10);
  const first = Math.ceil(from / step) * step;
  return Array.from({ length: Math.floor((to - first) / step) + 1 }, (_, index) => first + index * step);
}
