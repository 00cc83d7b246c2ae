// The graph of an application: a box for each source, step and sink, in ranks, and lines for the streams between them.
import { make, say } from './dom.js';
import { count, duration, rate } from './format.js';

const SVG = 'http://www.w3.org/2000/svg';

/** Shows the graph, and keeps it up to date. Boxes keep their elements as long as the graph is the same. */
export class Graph {
  #place;
  #lines = document.createElementNS(SVG, 'svg');
  /** By id, the element of each node and the node that it shows. */
  #boxes = new Map();
  #shape = '';

  constructor(place) {
    this.#place = place;
    this.#lines.setAttribute('aria-hidden', 'true');
    new ResizeObserver(() => this.#draw()).observe(place);
  }

  show(nodes) {
    const shape = JSON.stringify(nodes.map(({ id, from }) => [id, from]));
    if (shape !== this.#shape) {
      this.#shape = shape;
      this.#build(nodes);
    }
    for (const node of nodes) this.#fill(node);
    this.#draw();
  }

  #build(nodes) {
    this.#boxes.clear();
    const ranks = [];
    for (const [node, rank] of rankOf(nodes)) {
      const element = make(
        'li',
        {},
        make('strong'),
        ' ',
        make('span', { class: 'change' }),
        make('p', { class: 'what' }),
        make('p', { class: 'figures' }),
      );
      this.#boxes.set(node.id, { element, node });
      ranks[rank] ??= make('ul', {
        'aria-label': node.kind === 'step' ? `Steps, rank ${rank}` : `${node.kind}s`,
      });
      ranks[rank].append(element);
    }
    this.#place.replaceChildren(this.#lines, ...ranks.filter(Boolean));
  }

  #fill(node) {
    const box = this.#boxes.get(node.id);
    box.node = node;
    const [name, change, what, figures] = box.element.querySelectorAll('strong, .change, p');
    const isChanging = node.change !== undefined && node.change !== 'kept';
    box.element.className = `node ${node.kind}${isChanging ? ` ${node.change}` : ''}`;
    say(name, node.name);
    say(change, isChanging ? `${node.change}${node.state ? `, state ${node.state}` : ''}` : '');
    say(what, node.what);
    say(figures, words(node));
  }

  #draw() {
    const top = this.#place.getBoundingClientRect();
    const place = (id) => {
      const box = this.#boxes.get(id)?.element.getBoundingClientRect();
      return box && { x: box.x + box.width / 2 - top.x, above: box.y - top.y, below: box.bottom - top.y };
    };
    const paths = [];
    for (const { node } of this.#boxes.values()) {
      const to = place(node.id);
      for (const id of node.from) {
        const from = place(id);
        if (!from) continue;
        const bend = (to.above - from.below) / 2;
        const path = document.createElementNS(SVG, 'path');
        path.setAttribute(
          'd',
          `M${from.x} ${from.below} C${from.x} ${from.below + bend} ${to.x} ${to.above - bend} ${to.x} ${to.above}`,
        );
        if (this.#boxes.get(id).node.rate > 0) path.setAttribute('class', 'flows');
        paths.push(path);
      }
    }
    this.#lines.replaceChildren(...paths);
  }
}

/** Each node with its rank: one more than the lowest one whose values it takes. Sinks are last. */
function rankOf(nodes) {
  const ranks = new Map();
  for (const { id, kind, from } of nodes) {
    if (kind === 'sink') continue;
    ranks.set(id, from.length === 0 ? 0 : 1 + Math.max(...from.map((each) => ranks.get(each) ?? 0)));
  }
  const last = Math.max(0, ...ranks.values()) + 1;
  return nodes.map((node) => [node, ranks.get(node.id) ?? last]);
}

function words(node) {
  const each = `${rate(node.rate)}/s`;
  if (node.kind === 'source') {
    const waits = node.waiting > 0 ? [`${count(node.waiting)} wait`] : [];
    return [each, ...waits, ...(node.problem === undefined ? [] : ['fails'])].join(', ');
  }
  if (node.kind === 'sink') return `${each}, ${count(node.records)} in all`;
  const parts = [each, ...(node.rate > 0 ? [duration(node.ms)] : [])];
  if (node.items > 0) parts.push(`batches of ${rate(node.items)}`);
  if (node.failed > 0) parts.push(`${count(node.failed)} failed`);
  return parts.join(', ');
}
