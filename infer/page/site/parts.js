// The parts of a request's time, as the page names and paints them.
import { make } from './dom.js';
import { duration } from './format.js';

/** How many parts are said in words. */
const MOST_WORDS = 3;

/** In the order in which a request goes through them. */
export const PARTS = [
  { key: 'receive', name: 'receiving', about: 'its message is read' },
  { key: 'queue', name: 'waiting', about: 'for a lane, or for memory' },
  { key: 'batch', name: 'batching', about: 'for more items, or for the GPU' },
  { key: 'load', name: 'loading', about: 'its model, onto the lane' },
  { key: 'move', name: 'moving bytes', about: 'to the lane, and back' },
  { key: 'gpu', name: 'GPU', about: 'its batch runs' },
  { key: 'function', name: 'functions', about: 'of its graph' },
  { key: 'answer', name: 'answer', about: 'is made and sent' },
];

export function showLegend(list) {
  for (const { key, name, about } of PARTS) {
    list.append(make('li', { class: `part-${key}` }, make('b', {}, name), ` ${about}`));
  }
}

/** Puts the parts of a time, `{ queue: milliseconds, … }`, into a cell: as a bar, and the longest of them in words. */
export function addBar(cell, times) {
  const bar = make('span', { class: 'parts', 'aria-hidden': 'true' });
  const there = PARTS.filter(({ key }) => times[key] > 0);
  const whole = there.reduce((sum, { key }) => sum + times[key], 0);
  for (const { key } of there) {
    const part = make('i', { class: `part-${key}` });
    // Growths whose sum is below 1 would not fill the bar.
    part.style.flexGrow = String((100 * times[key]) / whole);
    bar.append(part);
  }
  const longest = there.sort((a, b) => times[b.key] - times[a.key]).slice(0, MOST_WORDS);
  const words = longest.map(({ key, name }) => `${name} ${duration(times[key])}`);
  cell.append(make('div', {}, bar, make('small', {}, words.join(', '))));
}
