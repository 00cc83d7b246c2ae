import type { Cursor, LoggedRecord, SourceLog } from '../log/record-log.js';

/** Reads the records of one source for the flow, each once, as far as the log goes. */
export class Reader {
  readonly log: SourceLog;
  readonly #cursor: Cursor;
  readonly #admit: (record: LoggedRecord) => boolean;
  readonly #fail: (error: unknown) => void;
  /** A record that was read and that the flow did not take yet. */
  #pending: LoggedRecord | undefined;
  #reading: Promise<void> | undefined;
  /** There may be more since the log was looked at last: without it, a record that comes in that moment would wait. */
  #isWoken = false;
  #isClosed = false;

  /** `admit` takes a record, or says that there is no room for it. `fail` is told that the log cannot be read. */
  constructor(
    log: SourceLog,
    from: number,
    admit: (record: LoggedRecord) => boolean,
    fail: (error: unknown) => void,
  ) {
    this.log = log;
    this.#cursor = log.cursor(from);
    this.#admit = admit;
    this.#fail = fail;
  }

  /** There are more records, or there is more room. */
  wake(): void {
    if (this.#isClosed) return;
    this.#isWoken = true;
    this.#reading ??= this.#read();
  }

  async #read(): Promise<void> {
    // It must not end before `wake` has its promise.
    await undefined;
    try {
      while (!this.#isClosed) {
        this.#isWoken = false;
        this.#pending ??= await this.#cursor.next();
        if (this.#isClosed) break;
        if (this.#pending && this.#admit(this.#pending)) this.#pending = undefined;
        else if (!this.#isWoken) break;
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#reading = undefined;
  }

  /** The log stays open. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#reading;
    await this.#cursor.close();
  }
}
