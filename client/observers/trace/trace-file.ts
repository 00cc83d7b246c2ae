/** Where a file's bytes go. */
export interface TraceSink {
  /** Puts bytes at a position of the file, over what is there. Returns when they are written. */
  write(bytes: Uint8Array, position: number): void;
}

export interface TraceFileOptions {
  sink: TraceSink;
  /** What the file says about itself, asked whenever something is written. */
  about(): Readonly<Record<string, unknown>>;
  /** Bytes that wait before they are written. Default 64 KiB. */
  waitingBytes?: number;
  /** Bytes of the file; what comes later is left out. Default 1 GiB, which is what viewers open. */
  mostBytes?: number;
}

const HEAD = '{"displayTimeUnit":"ms","traceEvents":[\n';

/**
 * A file in the trace-event format ("Trace Event Format", JSON object form, which Perfetto and chrome://tracing open),
 * written bit by bit. After each write the file is whole and valid: the end of the JSON is written behind the events,
 * and written over by those that come next. So nothing has to be done for a program that crashes, and what waits in
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

  /** Writes what waits. */
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
    // What was there before and is longer is written over with blanks, which JSON allows at its end.
    const blanks = Math.max(0, this.#end - (this.#position + body.length + tail.length));
    this.#options.sink.write(Buffer.concat([body, tail, Buffer.alloc(blanks, ' ')]), this.#position);
    this.#position += body.length;
    this.#end = this.#position + tail.length + blanks;
  }
}
