// An application of farlight stream in this process, as `farlight stream run` opens it, to which records are given.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { resolveStream } from '../../dist/stream/definition/resolve.js';
import { readStream } from '../../dist/stream/definition/stream-file.js';
import { copiesIn, openApplication } from '../../dist/stream/site.js';
import { RecordObserver } from '../../dist/stream/statistics/record-observer.js';
import { Tally } from '../../dist/stream/statistics/tally.js';
import { recordOf, streamText, writeApplication } from './graphs.mjs';

/** How many records may wait before a sender waits, as sources do. */
const MOST_WAITING = 256;
/** A sender over a WebSocket need not wait for each answer, which comes when the disk has the record. */
const UNANSWERED = 8;

/** Opens a graph as an application, in a folder of its own. */
export async function openStream(graph, hosts, { keys, versions }) {
  const folder = mkdtempSync(join(os.tmpdir(), 'farlight-bench-stream-'));
  const file = join(folder, 'app.yaml');
  const state = join(folder, 'app.state');
  writeApplication(folder, graph, versions);
  const define = (change) => {
    writeFileSync(file, streamText(graph, change));
    const { graph: read, problems } = readStream(file);
    if (!read) throw new Error(problems.map(({ message }) => message).join());
    return resolveStream(read, copiesIn(state));
  };
  const observer = new Outputs();
  const { application, close } = await openApplication(
    { folder: state, durable: true, checkpointEvery: 10_000, hosts, observer, log: console.error },
    () => define(),
  );
  const records = Array.from({ length: keys }, (_, key) => ({
    key: `k${key}`,
    values: { framed: recordOf(key) },
  }));
  let next = 0;
  return {
    application,
    define,
    outputs: observer,
    /** Gives it one record, of the next key. Resolves when the record is logged. */
    give: () => application.ingest('sound', records[next++ % keys]),
    /**
     * Gives it so many records, the keys in turn, of each key up to UNANSWERED that are not logged yet. Resolves when the sink
     * has all outputs.
     */
    async pass(count) {
      const done = observer.after(count);
      const sender = async (record, key) => {
        const unanswered = [];
        for (let given = key; given < count; given += keys) {
          unanswered.push(application.ingest('sound', record));
          if (unanswered.length >= UNANSWERED) await unanswered.shift();
          while (application.backlog('sound') >= MOST_WAITING) await observer.next();
        }
        await Promise.all(unanswered);
      };
      await Promise.all(records.map(sender));
      await done;
    },
    lines: () =>
      readFileSync(join(folder, 'out.jsonl'), 'utf8')
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line)),
    async close() {
      await close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Counts outputs, and the longest time without one, beside what `farlight stream run` counts. */
class Outputs extends RecordObserver {
  #count = 0;
  #latest = performance.now();
  #waiting = [];
  gapMs = 0;

  constructor() {
    super({ tally: new Tally(Date.now), now: () => performance.now() });
  }

  wrote(record, sink, outputs, definition) {
    super.wrote(record, sink, outputs, definition);
    if (outputs.length === 0) return;
    const now = performance.now();
    this.gapMs = Math.max(this.gapMs, now - this.#latest);
    this.#latest = now;
    this.#count += outputs.length;
    const due = this.#waiting.filter(({ count }) => count <= this.#count);
    this.#waiting = this.#waiting.filter(({ count }) => count > this.#count);
    for (const { resolve } of due) resolve();
  }

  /** Resolves when there are so many outputs more. */
  after(more) {
    return new Promise((resolve) => this.#waiting.push({ count: this.#count + more, resolve }));
  }

  next() {
    return this.after(1);
  }

  forget() {
    this.gapMs = 0;
    this.#latest = performance.now();
  }

  get count() {
    return this.#count;
  }
}
