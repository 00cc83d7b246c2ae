// The charts of the last five minutes, a point a second.
import { at, say } from './dom.js';
import { bytesPerSecond, rate } from './format.js';
import uPlot from './uplot.js';

const SECONDS = 300;

/** By the second since 1970. */
const seconds = new Map();
/** The last second that the charts show. */
let last = 0;

const CHARTS = [
  {
    place: 'traffic-chart',
    said: 'traffic-said',
    format: bytesPerSecond,
    incrs: Array.from({ length: 40 }, (_, power) => 2 ** power),
    series: [
      { key: 'bytesUp', label: 'up', color: '--up' },
      { key: 'bytesDown', label: 'down', color: '--down' },
    ],
  },
  {
    place: 'work-chart',
    said: 'work-said',
    format: rate,
    incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000, 100_000],
    series: [
      { key: 'submits', label: 'submits', color: '--submits' },
      { key: 'waits', label: 'waits', color: '--waits' },
    ],
  },
];

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A time of the chart as text, relative to the chart's end. */
function ago(time) {
  const seconds = Math.round(last - time);
  return seconds < 1 ? 'now' : seconds % 60 === 0 ? `${seconds / 60} min ago` : `${seconds} s ago`;
}

function plot({ place, format, incrs, series }) {
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
          splits: ({ width }) => (width < 480 ? [4, 2] : [4, 3, 2, 1]).map((minutes) => last - 60 * minutes),
          values: (_, times) => times.map(ago),
        },
        { ...axis, size: 74, incrs, values: (_, values) => values.map(format) },
      ],
      series: [
        { label: 'at', value: (_, time) => (time === null ? '-' : ago(time)) },
        ...series.map(({ label, color: name }) => ({
          label,
          stroke: () => color(name),
          width: 1.6,
          fill: () => `color-mix(in srgb, ${color(name)} 14%, transparent)`,
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

let charts;

/** @param {Array} news the seconds that are new or have grown. @param {number} now the host's, in milliseconds since 1970. */
export function showHistory(news, now) {
  for (const each of news) seconds.set(each.second, each);
  // Leave out the current second: it is incomplete, and would look like a drop.
  last = Math.floor(now / 1000) - 1;
  const first = last - SECONDS + 1;
  for (const second of seconds.keys()) if (second < first) seconds.delete(second);
  charts ??= CHARTS.map(plot);
  const times = Array.from({ length: SECONDS }, (_, index) => first + index);
  for (const [index, { series, said, format }] of CHARTS.entries()) {
    const lines = series.map(({ key }) => times.map((second) => seconds.get(second)?.[key] ?? 0));
    charts[index].setData([times, ...lines]);
    // The legend shows the second under the pointer, or without a pointer the newest.
    if (charts[index].cursor.left < 0) charts[index].setLegend({ idx: SECONDS - 1 });
    const words = series.map(({ label }, line) => `${label} at most ${format(Math.max(...lines[line]))}`);
    say(at(said), `In these minutes: ${words.join(', ')}.`);
  }
}

/** Forgets the history of another run of the host. */
export function forgetHistory() {
  seconds.clear();
}

/** The colours have changed. */
export function repaintHistory() {
  if (!charts) return;
  for (const chart of charts) chart.destroy();
  charts = undefined;
  showHistory([], (last + 1) * 1000);
}
