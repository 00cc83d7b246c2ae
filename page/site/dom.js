// The page's building blocks. Texts become text nodes and nothing else, since clients choose many of them.

/** @param {string} id */
export const at = (id) => document.getElementById(id);

/** Sets an element's text, if it differs. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Makes an element with attributes and children. */
export function make(tag, attributes = {}, ...content) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...content);
  return element;
}

/** A word in a box, in the colour for a good end or for any other. */
export function badge(text, well) {
  return make('span', { class: well ? 'badge well' : 'badge' }, text);
}

/** The rows of a table by their keys, as LiveTable takes them. */
export const keyed = (rows, key) => new Map(rows.map((row) => [key(row), row]));

/**
 * Shows figures in a definition list, each `{ name, value, about, kind }`. The names and kinds must be the same each time.
 */
export function showFigures(list, figures) {
  for (const [index, { name, value, about = '', kind = '' }] of figures.entries()) {
    let row = list.children[index];
    if (!row) {
      const attributes = { class: kind || 'tile' };
      row = make('div', attributes, make('dt', {}, name), make('dd', {}, make('span'), make('small')));
      list.append(row);
    }
    const [shown, small] = row.lastElementChild.children;
    say(shown, value);
    say(small, about);
    small.hidden = about === '';
  }
}

/**
 * A table that stays up to date. Rows keep their elements, and so focus and selection stay.
 *
 * Each column is `{ title, number, text(row), fill(cell, row), paint }`. `fill` is called once for the cell of a new row, `text`
 * and `paint(cell, row)` each time. The first column is the row's heading.
 */
export class LiveTable {
  #columns;
  #rows = new Map();
  #body = make('tbody', { role: 'rowgroup' });
  #table;
  #none;

  constructor(place, { caption, columns, none }) {
    this.#columns = columns;
    const heads = columns.map(({ title, number }) =>
      make('th', { scope: 'col', role: 'columnheader', ...(number && { class: 'number' }) }, title),
    );
    this.#table = make(
      'table',
      { role: 'table', class: 'live-table' },
      make('caption', {}, caption),
      make('thead', { role: 'rowgroup' }, make('tr', { role: 'row' }, ...heads)),
      this.#body,
    );
    this.#none = make('p', { class: 'none' }, none);
    place.append(this.#table, this.#none);
  }

  /** Shows rows, given by their keys, in order. `chosen` is the key of the highlighted row. */
  show(rows, chosen) {
    this.#table.hidden = rows.size === 0;
    this.#none.hidden = rows.size > 0;
    for (const [key, row] of this.#rows) {
      if (rows.has(key)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    let previous = null;
    for (const [key, data] of rows) {
      const row = this.#rows.get(key) ?? this.#add(key, data);
      this.#columns.forEach(({ text, paint }, index) => {
        if (text) say(row.cells[index], text(data));
        paint?.(row.cells[index], data);
      });
      row.classList.toggle('chosen', key === chosen);
      const next = previous ? previous.nextElementSibling : this.#body.firstElementChild;
      if (next !== row) this.#body.insertBefore(row, next);
      previous = row;
    }
  }

  #add(key, data) {
    const row = make('tr', { role: 'row' });
    this.#columns.forEach(({ title, number, fill }, index) => {
      const attributes = { 'data-label': title, ...(number && { class: 'number' }) };
      const cell =
        index === 0
          ? make('th', { ...attributes, scope: 'row', role: 'rowheader' })
          : make('td', { ...attributes, role: 'cell' });
      fill?.(cell, data);
      row.append(cell);
    });
    this.#rows.set(key, row);
    return row;
  }
}
