// A page of text, small enough for a software GPU. One line is upside down.
import { drawText } from './font.mjs';

/** From top to bottom. */
export const LINES = [
  { text: 'PAGE 7', x: 20, y: 14, size: 22 },
  { text: 'TURN', x: 164, y: 75, size: 22, upsideDown: true },
];

/** White, with these lines. */
export function drawPage({ width = 192, height = 128, lines = LINES } = {}) {
  const page = { width, height, data: new Uint8Array(width * height * 4).fill(255) };
  for (const line of lines) drawText(page, line);
  return page;
}
