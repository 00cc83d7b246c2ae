import { isTypedArray } from '../../../proto/webidl/slots.js';

type Write = (chunk: unknown, ...rest: unknown[]) => boolean;

/** The parts of a terminal's stream that are used. */
export interface Terminal {
  write: Write;
  columns?: number | undefined;
}

/**
 * A line at the bottom of a terminal that shows progress, made of carriage returns and blanks only. It
 * disappears before the program writes anything, and comes back when the program has ended its line.
 */
export class StatusLine {
  readonly #terminal: Terminal;
  readonly #write: Write;
  #shown = '';
  /** The program has written a part of a line. */
  #within = false;

  /** `outputs` are the streams of the program that lead to the same terminal. */
  constructor(terminal: Terminal, outputs: readonly Terminal[]) {
    this.#terminal = terminal;
    this.#write = terminal.write.bind(terminal);
    for (const output of outputs) this.#watch(output);
  }

  /** Shows a text in place of the one before; undefined shows none. */
  show(text: string | undefined): void {
    if (text === undefined || this.#within) {
      this.clear();
      return;
    }
    // Some pseudo terminals say that they have no columns. In the last column some terminals begin a new
    // line.
    const fitting = text.slice(0, Math.max(0, (this.#terminal.columns || 80) - 1));
    if (fitting === this.#shown) return;
    this.#write(`\r${fitting.padEnd(this.#shown.length)}`);
    this.#shown = fitting;
  }

  clear(): void {
    if (this.#shown === '') return;
    this.#write(`\r${' '.repeat(this.#shown.length)}\r`);
    this.#shown = '';
  }

  #watch(output: Terminal): void {
    const write = output.write.bind(output);
    output.write = (chunk, ...rest) => {
      this.clear();
      const text = isTypedArray(chunk, 'Uint8Array') ? Buffer.from(chunk).toString('latin1') : String(chunk);
      if (text !== '') this.#within = !text.endsWith('\n');
      return write(chunk, ...rest);
    };
  }
}
