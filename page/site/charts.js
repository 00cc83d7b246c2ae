// Charts of the last five minutes, a point a second.
import { at, say } from './dom.js';
import uPlot from './uplot.js';

const SECONDS = 300;

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * The charts of a page. Each is `{ place, said, format, incrs, series }`: the ids of its box and of its sentence, how its
 * numbers are written, the steps that its scale may have, and its lines. A line is `{ key, label, color, dash, keep }`:
 * which figure of a second it shows, its name, and the name of its colour. A second without a figure counts as 0, or,
 * with `keep`, as the second before it.
 */
export class History {
  #specs;
  /** By the second since 1970. */
  #seconds = new Map();
  /** The last second that the charts show. */
  #last = 0;
  #charts;

  /** @param {History} [before] the charts in whose place these come: they know the same seconds. */
  constructor(specs, before) {
    this.#specs = specs;
    if (before) this.#seconds = before.#seconds;
  }

  /** @param {Array} news the seconds that are new or have grown. @param {number} now the server's, in milliseconds since 1970. */
  show(news, now) {
    for (const each of news) this.#seconds.set(each.second, each);
    // Leave out the current second: it is incomplete, and would look like a drop.
    this.#last = Math.floor(now / 1000) - 1;
    const first = this.#last - SECONDS + 1;
    for (const second of this.#seconds.keys()) if (second < first) this.#seconds.delete(second);
    this.#charts ??= this.#specs.map((spec) => this.#plot(spec));
    const times = Array.from({ length: SECONDS }, (_, index) => first + index);
    for (const [index, { series, said, format }] of this.#specs.entries()) {
      const lines = series.map((line) => this.#values(line, times));
      const chart = this.#charts[index];
      chart.setData([times, ...lines]);
      // The legend shows the second under the pointer, or without a pointer the newest.
      if (chart.cursor.left < 0) chart.setLegend({ idx: SECONDS - 1 });
      const words = series.map(({ label }, line) => `${label} at most ${format(Math.max(...lines[line]))}`);
      say(at(said), `In these minutes: ${words.join(', ')}.`);
    }
  }

  /** Forgets the history of another run of the server. */
  forget() {
    this.#seconds.clear();
  }

  /** The colours have changed. */
  repaint() {
    if (!this.#charts) return;
    this.end();
    this.show([], (this.#last + 1) * 1000);
  }

  /** Takes the charts off the page. */
  end() {
    for (const chart of this.#charts ?? []) chart.destroy();
    this.#charts = undefined;
  }

  #values({ key, keep }, times) {
    let before = 0;
    return times.map((second) => {
      const value = this.#seconds.get(second)?.[key];
      if (keep && value !== undefined) before = value;
      return value ?? before;
    });
  }

  /** A time of the charts as text, relative to their end. */
  #ago(time) {
    const seconds = Math.round(this.#last - time);
    return seconds < 1 ? 'now' : seconds % 60 === 0 ? `${seconds / 60} min ago` : `${seconds} s ago`;
  }

  #plot({ place, format, incrs, series }) {
    const box = at(place);
    const axis = {
      stroke: () => color('--quiet'),
      grid: { stroke: () => color('--line'), width: 1 },
      ticks: { show: false },
      font: '12px system-ui, sans-serif',
    };
    // The legend below takes the rest of the box.
    const size = () => ({ width: Math.max(200, box.clientWidth), height: 156 });
    const observer = new ResizeObserver(() => chart.setSize(size()));
    const chart = new uPlot(
      {
        ...size(),
        padding: [8, 8, 0, 0],
        scales: { x: { time: false }, y: { range: (_, __, most) => [0, Math.max(most * 1.08, 1)] } },
        axes: [
          {
            ...axis,
            size: 28,
            splits: ({ width }) =>
              (width < 480 ? [4, 2] : [4, 3, 2, 1]).map((minutes) => this.#last - 60 * minutes),
            values: (_, times) => times.map((time) => this.#ago(time)),
          },
          { ...axis, size: 74, incrs, values: (_, values) => values.map(format) },
        ],
        series: [
          { label: 'at', value: (_, time) => (time === null ? '-' : this.#ago(time)) },
          ...series.map(({ label, color: name, dash }) => ({
            label,
            stroke: () => color(name),
            width: 1.6,
            ...(dash ? { dash } : { fill: () => `color-mix(in srgb, ${color(name)} 14%, transparent)` }),
            points: { show: false },
            value: (_, value) => (value === null ? '-' : format(value)),
          })),
        ],
        cursor: { drag: { x: false, y: false } },
        hooks: { destroy: [() => observer.disconnect()] },
      },
      [[], ...series.map(() => [])],
      box,
    );
    observer.observe(box);
    return chart;
  }
}
