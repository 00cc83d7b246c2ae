import { harmless } from '../../proto/harmless.js';
import { cut, type Style } from '../style.js';

export interface TopSize {
  columns: number;
  rows: number;
}

/** The width of names that clients choose. */
export const NAME = 28;

/**
 * Parts of a view as lines of a terminal: not more lines, and none longer, than its size. The first line of each part is
 * its heading.
 */
export function fitted(parts: readonly (readonly string[])[], size: TopSize, style: Style): string[] {
  const lines = parts
    .filter(({ length }) => length > 0)
    .flatMap((part, number) => {
      const [head = '', ...rest] = part.map((line) => cut(harmless(line), size.columns));
      return [...(number === 0 ? [] : ['']), style('bold', head), ...rest];
    });
  return lines.slice(0, size.rows);
}
