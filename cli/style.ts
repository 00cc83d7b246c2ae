import type { WriteStream } from 'node:tty';
import { harmless } from '../proto/harmless.js';

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

/** How a text looks. */
export type Look = keyof typeof CODES;

/** Gives a text its look, on outputs that can show it. */
export type Style = (look: Look, text: string) => string;

export const PLAIN: Style = (_, text) => text;

/**
 * How to write to a stream: with colors on a terminal, unless NO_COLOR is set (https://no-color.org) or the
 * terminal has none. Files and other programs get plain text.
 */
export function styleOf(stream: Pick<WriteStream, 'isTTY'>, env: NodeJS.ProcessEnv = process.env): Style {
  if (!stream.isTTY || env.NO_COLOR || env.TERM === 'dumb') return PLAIN;
  return (look, text) => `\x1b[${CODES[look]}m${text}\x1b[0m`;
}

/**
 * Lines in columns. Each column is as wide as its widest text; columns in `right` are aligned to the right.
 */
export function columns(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, text] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, length(text));
  }
  return rows.map((row) =>
    row
      .map((text, index) => {
        const space = ' '.repeat((widths[index] ?? 0) - length(text));
        return right.includes(index) ? space + text : text + space;
      })
      .join('  ')
      .trimEnd(),
  );
}

/** Lines of a table, whose heads are bold. Its texts may come from anywhere: none of them controls the terminal. */
export function table(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  style: Style,
): string[] {
  const [head = '', ...lines] = columns([heads, ...rows.map((row) => row.map(harmless))]);
  return [style('bold', head), ...lines];
}

/** The first `most` characters of a text, with a sign if there are more. */
export function cut(text: string, most: number): string {
  const characters = [...text];
  return characters.length <= most ? text : `${characters.slice(0, most - 1).join('')}…`;
}

function length(text: string): number {
  return [...text].length;
}
