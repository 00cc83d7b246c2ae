/** Where the bytes of a file go. */
export interface TraceSink {
  /** Puts bytes at a position of the file, over the bytes that are there. Returns when they are written. */
  write(bytes: Uint8Array, position: number): void;
}

export interface TraceFileOptions {
  sink: TraceSink;
  /** The file's description of itself. Called at each write. */
  about(): Readonly<Record<string, unknown>>;
  /** How many bytes wait before they are written. Default 64 KiB. */
  waitingBytes?: number;
  /** The largest size of the file; later events are left out. Default 1 GiB, the most that viewers open. */
  mostBytes?: number;
}

const HEAD = '{"displayTimeUnit":"ms","traceEvents":[\n';

/**
 * A file in the trace-event format ("Trace Event Format", JSON object form, for Perfetto and
 * chrome://tracing), written bit by bit. After each write the file is whole and valid: the end of the JSON
 * follows the events, and the next events overwrite it. So a program that crashes leaves a valid file, and
 * memory is bounded.
 */
export class TraceFile {
  readonly #options: TraceFileOptions;
  readonly #waitingBytes: number;
  readonly #mostBytes: number;
  #waiting: string[] = [];
  #waitingLength = 0;
  /** Where the next event goes, and where the file ends. */
  #position = 0;
  #end = 0;
  #leftOut = 0;

  constructor(options: TraceFileOptions) {
    this.#options = options;
    this.#waitingBytes = options.waitingBytes ?? 64 << 10;
    this.#mostBytes = options.mostBytes ?? 1 << 30;
  }

  add(event: Readonly<Record<string, unknown>>): void {
    if (this.#position + this.#waitingLength >= this.#mostBytes) {
      this.#leftOut += 1;
      return;
    }
    const text = JSON.stringify(event);
    this.#waiting.push(text);
    this.#waitingLength += text.length + 2;
    if (this.#waitingLength >= this.#waitingBytes) this.flush();
  }

  /** Writes the events that wait. */
  flush(): void {
    const begins = this.#position === 0;
    if (this.#waiting.length === 0 && this.#leftOut === 0) return;
    const events = this.#waiting.join(',\n');
    const between = begins || events === '' ? '' : ',\n';
    const body = Buffer.from(`${begins ? HEAD : ''}${between}${events}`);
    this.#waiting = [];
    this.#waitingLength = 0;
    const about = { ...this.#options.about(), ...(this.#leftOut > 0 && { eventsLeftOut: this.#leftOut }) };
    const tail = Buffer.from(`\n],"otherData":${JSON.stringify(about)}}\n`);
    // If the old end was longer, blanks replace the rest: JSON allows them at its end.
    const blanks = Math.max(0, this.#end - (this.#position + body.length + tail.length));
    this.#options.sink.write(Buffer.concat([body, tail, Buffer.alloc(blanks, ' ')]), this.#position);
    this.#position += body.length;
    this.#end = this.#position + tail.length + blanks;
  }
}
