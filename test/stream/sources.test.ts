import { mkdirSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Nats } from '#farlight/stream/broker/nats-connection.js';
import type { Definition, GeneratorDefinition } from '#farlight/stream/definition/definition.js';
import type { NewRecord } from '#farlight/stream/log/record-log.js';
import { UnfitRecordError } from '#farlight/stream/log/record-log.js';
import type { FunctionPool } from '#farlight/stream/run/function-pool.js';
import { openApplication } from '#farlight/stream/site.js';
import { Attempts } from '#farlight/stream/sources/attempts.js';
import { watchFolder } from '#farlight/stream/sources/folder-source.js';
import { generate } from '#farlight/stream/sources/generator-source.js';
import { followSubject } from '#farlight/stream/sources/nats-source.js';
import { type Feed, started } from '#farlight/stream/sources/source.js';
import { playWavs } from '#farlight/stream/sources/wav-source.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
afterAll(() => temporary.remove());

/** Attempts of a source, whose time a test sets. */
class Tried {
  time = 0;
  readonly told: string[] = [];
  readonly pauses: number[] = [];
  readonly attempts = new Attempts({
    name: 's',
    clock: {
      now: () => this.time,
      after: (ms, act) => {
        this.pauses.push(ms);
        setImmediate(() => {
          this.time += ms;
          act();
        });
      },
    },
    log: (message) => this.told.push(message),
  });
}

/** Takes records, and keeps the key and the position of each. */
function feedOf(taken: string[], positions = new Map<string, unknown>()): Feed {
  const ingest = async ({ key, position }: NewRecord) => taken.push(`${key}/${position}`);
  return { positions, backlog: () => 0, ingest };
}

function writeOld(file: string, data: string | Uint8Array): void {
  writeFileSync(file, data);
  utimesSync(file, 1, 1);
}

describe('a part of a source that fails', () => {
  it('is tried again after pauses that grow up to 10 s, and is told of once', async () => {
    const { attempts, told, pauses } = new Tried();
    let tries = 0;
    const act = async () => {
      tries += 1;
      expect(attempts.problem).toBe(tries === 1 ? undefined : 'part: away');
      if (tries < 9) throw new Error('away');
    };
    await attempts.untilWell('part', act, new AbortController().signal);
    expect(pauses).toEqual([200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    expect(told).toEqual(['source s fails, and is tried again: part: away', 'source s goes on']);
    expect(attempts.problem).toBeUndefined();
  });

  it('is not tried any more once its source is closed, or once it is put aside', async () => {
    const { attempts, told, pauses } = new Tried();
    const stop = new AbortController();
    const act = async () => {
      stop.abort();
      throw new Error('away');
    };
    await attempts.untilWell('part', act, stop.signal);
    expect(attempts.problem).toBeUndefined();
    const unfit = () => Promise.reject(new UnfitRecordError('it is too long'));
    await attempts.untilWell('other', unfit, new AbortController().signal);
    expect(told).toEqual(['source s puts other aside: it is too long']);
    expect([attempts.aside, pauses]).toEqual([1, []]);
  });
});

describe('a folder of files', () => {
  it('gives files whose times lie in the future, as those of a camera whose clock is ahead', async () => {
    const folder = temporary.make();
    const future = Date.now() / 1000 + 3600;
    for (const camera of ['a', 'b']) {
      mkdirSync(join(folder, camera));
      writeFileSync(join(folder, camera, '1.png'), camera);
      utimesSync(join(folder, camera, '1.png'), future, future);
    }
    const taken: string[] = [];
    const source = started((...tried) => watchFolder(folder, feedOf(taken), ...tried), new Tried().attempts);
    await expect.poll(() => taken, { timeout: 10_000 }).toEqual(['a/1.png', 'b/1.png']);
    await source.close();
  });

  it('is looked at again when it comes back, and says meanwhile why it gives nothing', async () => {
    const folder = join(temporary.make(), 'mount');
    const taken: string[] = [];
    const tried = new Tried();
    const source = started((...rest) => watchFolder(folder, feedOf(taken), ...rest), tried.attempts);
    await expect.poll(() => tried.attempts.problem, { timeout: 10_000 }).toMatch('ENOENT');
    mkdirSync(folder);
    writeOld(join(folder, '1'), 'x');
    tried.time += 10_000;
    await expect.poll(() => taken, { timeout: 10_000 }).toEqual(['./1']);
    await expect.poll(() => tried.attempts.problem, { timeout: 10_000 }).toBeUndefined();
    await source.close();
  });

  it('puts a file aside that is too long for a record, and takes those after it', async () => {
    const folder = temporary.make();
    for (const name of ['1', '2', '3']) writeOld(join(folder, name), name);
    truncateSync(join(folder, '2'), (64 << 20) + 1);
    const taken: string[] = [];
    const { attempts, told } = new Tried();
    const source = started((...tried) => watchFolder(folder, feedOf(taken), ...tried), attempts);
    await expect.poll(() => taken, { timeout: 10_000 }).toEqual(['./1', './3']);
    expect(told).toEqual(['source s puts 2 aside: the file has 67108865 bytes, more than 64 MiB']);
    expect(attempts.aside).toBe(1);
    await source.close();
  });
});

describe('a folder of WAV files', () => {
  it('plays the others where one is no WAV file, and goes on in one that could not be read for a moment', async () => {
    const folder = temporary.make();
    writeFileSync(join(folder, 'bad.wav'), 'no sound');
    writeFileSync(join(folder, 'good.wav'), wavOf(10));
    const taken: string[] = [];
    const { attempts, told } = new Tried();
    let failures = 0;
    const feed = feedOf(taken);
    const ingest: Feed['ingest'] = async (record) => {
      if (record.position === 6 && failures++ < 2) throw new Error('EIO');
      return feed.ingest(record);
    };
    const definition = { kind: 'wav', folder, samples: 2, pace: 'fast' } as const;
    const signal = new AbortController().signal;
    await playWavs(definition, { ...feed, ingest }, attempts, signal);
    expect(taken).toEqual([2, 4, 6, 8, 10].map((position) => `good.wav/${position}`));
    expect(attempts.aside).toBe(1);
    expect(told.sort()).toEqual([
      'source s fails, and is tried again: good.wav: EIO',
      'source s goes on',
      `source s puts bad.wav aside: ${join(folder, 'bad.wav')} cannot be played: it is no WAV file`,
    ]);
  });

  it('plays at the pace that its definition says', async () => {
    const folder = temporary.make();
    writeFileSync(join(folder, 'good.wav'), wavOf(4));
    const { attempts } = new Tried();
    const taken: string[] = [];
    const signal = new AbortController().signal;
    const start = performance.now();
    await playWavs({ kind: 'wav', folder, samples: 2, pace: 0.01 }, feedOf(taken), attempts, signal);
    // Four samples of 8,000 a second, at a hundredth of that. A machine that does other things may be later.
    expect(performance.now() - start).toBeGreaterThan(48);
    expect(taken).toEqual(['good.wav/2', 'good.wav/4']);
  });
});

describe('a subject of NATS', () => {
  it('says that its stream was made anew, where messages would have sequences that were taken', async () => {
    let end = 3;
    const nats = {
      manager: { streams: { find: async () => 'sensors', info: async () => ({ state: { last_seq: end } }) } },
      jetstream: {
        consumers: {
          get: async () => ({ consume: async () => Object.assign((async function* () {})(), { stop() {} }) }),
        },
      },
    } as unknown as Nats;
    const { attempts, told } = new Tried();
    const definition = { kind: 'nats', subject: 'x', types: {} } as const;
    const feed = feedOf([], new Map([['x', 5]]));
    const source = started((...tried) => followSubject('s', definition, nats, feed, ...tried), attempts);
    await expect
      .poll(() => attempts.problem)
      .toMatch('stream sensors ends at message 3, and message 5 was taken');
    end = 5;
    await expect.poll(() => attempts.problem).toBeUndefined();
    expect(told).toHaveLength(2);
    await source.close();
  });
});

describe('a source to which records are posted', () => {
  it('is not closed where an upgrade changes its values, and knows the records that it has taken', async () => {
    const folder = temporary.make();
    const none = () => Promise.reject(new Error('there is none'));
    const version = (id: string, types: Record<string, string>): Definition => ({
      name: 'test',
      id,
      sources: { s: { kind: 'http', types } },
      steps: [],
      sinks: { out: { kind: 'file', file: join(folder, 'out.jsonl'), source: 's', values: { x: 's.x' } } },
    });
    const site = await openApplication(
      {
        folder: join(folder, 'state'),
        durable: false,
        checkpointEvery: 1e6,
        hosts: none,
        nats: none,
        log: () => {},
      },
      async () => version('v1', { x: 'INT32[1]' }),
    );
    const record = { key: 'k', sequence: 1, values: { x: 1 } };
    await site.posted('s')?.take(record);
    const before = site.posted('s');
    await site.application.upgrade(version('v2', { x: 'INT32[1]', y: 'INT32[1]' }));
    expect(site.posted('s')).toBe(before);
    const more = { ...record, values: { x: 1, y: 2 } };
    expect(await site.posted('s')?.take(more)).toEqual([{ offset: undefined, isRepeated: true }]);
    expect(await site.posted('s')?.take({ ...more, sequence: 2 })).toMatchObject([{ isRepeated: false }]);
    await site.close();
  });
});

/** A WAV file of one channel, 16 bits and 8,000 samples a second. */
function wavOf(samples: number): Buffer {
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + 2 * samples, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(8000, 24);
  head.writeUInt32LE(16_000, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36);
  head.writeUInt32LE(2 * samples, 40);
  return Buffer.concat([head, Buffer.alloc(2 * samples)]);
}

describe('a generator', () => {
  it('closes also while its function waits for something', async () => {
    const { attempts } = new Tried();
    const taken: string[] = [];
    let begun = () => {};
    const asked = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const functions = {
      run: () => {
        begun();
        return new Promise(() => {});
      },
    } as unknown as FunctionPool;
    const definition = { function: { file: 'f.mjs', name: 'make' }, values: ['x'], keys: 1 };
    const act = (...tried: [Attempts, AbortSignal]) =>
      generate(definition as unknown as GeneratorDefinition, functions, feedOf(taken), ...tried);
    const source = started(act, attempts);
    await asked;
    await source.close();
    expect(taken).toEqual([]);
    expect(attempts.problem).toBe(undefined);
  });
});
