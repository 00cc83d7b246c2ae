import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeDurableFolder, syncFolder } from '../log/folders.js';
import { idIn, outputText } from './output-text.js';
import { endsOf, identityOf, type Output, type Sink } from './sink.js';

const READ_BYTES = 1 << 20;
const NEWLINE = 10;

/**
 * A file with a line for each output, each exactly once: after a restart it looks which outputs it has already. A last
 * line that is not whole is cut off.
 */
export class FileSink implements Sink {
  readonly #file: FileHandle;
  readonly #durable: boolean;
  /** The outputs that came after the mark, in the life of the process before. */
  readonly #had: Set<string>;
  readonly hadUntil: ReadonlyMap<string, number>;
  #length: number;
  #writing: Promise<void> = Promise.resolve();

  /**
   * @param mark the length that the file had when outputs that may come again began; undefined if none may.
   * @param durable whether an output survives a power cut once it was written.
   * @throws Error where the file cannot be used (rejects)
   */
  static async open(path: string, mark: number | undefined, durable: boolean): Promise<FileSink> {
    await makeDurableFolder(dirname(path));
    const file = await open(path, 'a+');
    try {
      if (durable) await syncFolder(dirname(path));
      const { size } = await file.stat();
      // A file that is shorter was cut by somebody: all that it has came later.
      const from = mark !== undefined && mark > size ? 0 : (mark ?? size);
      const { had, end } = await linesFrom(file, from, size);
      // A sink of the version before may be writing to it, so nothing else is cut off.
      if (end < size) await file.truncate(end);
      return new FileSink(file, durable, had, end);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  private constructor(file: FileHandle, durable: boolean, had: Set<string>, length: number) {
    this.#file = file;
    this.#durable = durable;
    this.#had = had;
    this.hadUntil = endsOf(had);
    this.#length = length;
  }

  write(outputs: readonly Output[]): Promise<void> {
    this.#writing = this.#write(outputs);
    return this.#writing;
  }

  mark(): number {
    return this.#length;
  }

  async close(): Promise<void> {
    // Its error went to the one who wrote.
    await this.#writing.catch(() => {});
    await this.#file.close();
  }

  async #write(outputs: readonly Output[]): Promise<void> {
    const fresh = outputs.filter((output) => !this.#had.has(identityOf(output)));
    if (fresh.length === 0) return;
    const text = Buffer.from(fresh.map((output) => `${outputText(output)}\n`).join(''));
    await this.#file.appendFile(text);
    if (this.#durable) await this.#file.datasync();
    // Somebody may have cut the file, or written to it.
    this.#length = (await this.#file.stat()).size;
  }
}

/** The ids in the lines from a place on, and where the last whole line ends. */
async function linesFrom(
  file: FileHandle,
  from: number,
  size: number,
): Promise<{ had: Set<string>; end: number }> {
  const had = new Set<string>();
  let end = from;
  let rest = Buffer.alloc(0);
  for (let at = from; at < size; ) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(READ_BYTES), 0, READ_BYTES, at);
    if (bytesRead === 0) break;
    at += bytesRead;
    rest = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
    for (let newline = rest.indexOf(NEWLINE); newline >= 0; newline = rest.indexOf(NEWLINE)) {
      const id = idIn(rest.toString('utf8', 0, newline));
      if (id !== undefined) had.add(id);
      rest = rest.subarray(newline + 1);
      end += newline + 1;
    }
  }
  return { had, end };
}
