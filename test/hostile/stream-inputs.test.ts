import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { inferenceTrust } from '#farlight/infer/door/trust.js';
import { readJson } from '#farlight/infer/http/json.js';
import { InferenceError } from '#farlight/infer/service/service.js';
import { resolveStream } from '#farlight/stream/definition/resolve.js';
import { readStream } from '#farlight/stream/definition/stream-file.js';
import { planUpgrade } from '#farlight/stream/definition/upgrade-plan.js';
import { Front } from '#farlight/stream/front/front.js';
import { PostedRecords } from '#farlight/stream/sources/posted-records.js';
import type { Feed } from '#farlight/stream/sources/source.js';
import { Metrics } from '#farlight/stream/statistics/figures.js';
import { ObservedApplication } from '../stream/support/observed.js';
import { hostileText } from '../support/jobs/hostile.js';
import { folders } from '../support/trust/trust.js';

/** Definitions and frames together; `npm run fuzz-streams` tries 50,000, and `npm run fuzz` more. */
const runs = Number(process.env.FARLIGHT_FUZZ_RUNS ?? 300);
const seed = process.env.FARLIGHT_FUZZ_SEED ? Number(process.env.FARLIGHT_FUZZ_SEED) : undefined;
const options = (share: number) => ({
  numRuns: Math.ceil(runs * share),
  ...(seed !== undefined && { seed }),
});
const MINUTES = 30 * 60_000;

const temporary = folders();
afterAll(() => temporary.remove());

const DEFINITION = `
name: app
models: models
sources:
  a: { generator: f.mjs#make, values: [x], keys: 3, every: 20 }
  b: { http: { x: "FP32[1,4]", words: "BYTES[-1]" } }
  c: { wav: sounds, samples: 512, pace: fast }
steps:
  one:
    uid: first
    function: f.mjs#sum
    inputs: { x: a.x }
    constants: { by: { type: "INT32[1]", data: [2] } }
    state: { total: { type: "INT32[1]", next: y } }
    migrate: f.mjs#turn
  two: { model: m, version: 1, inputs: { x: one.y } }
  three: { function: f.mjs#sum, resource: network, inputs: { x: b.words } }
sinks:
  out: { file: out.jsonl, values: { y: two.y, z: one.y }, each: one.y }
  there: { http: "http://127.0.0.1:9/x", values: { y: three.y } }
`;

/** Places of a text are replaced by hostile text, or by pieces of the text itself. */
function changed(text: string): fc.Arbitrary<string> {
  const words = text.match(/[a-z]+|[{}[\]:,"#]|\n {2,4}/g) ?? [];
  const put = fc.oneof(hostileText, fc.constantFrom(...words));
  const place = fc.record({ at: fc.nat(text.length), drop: fc.nat(12), put });
  return fc
    .array(place, { minLength: 1, maxLength: 3 })
    .map((places) =>
      places.reduce((so, { at, drop, put }) => so.slice(0, at) + put + so.slice(at + drop), text),
    );
}

describe('definitions of applications that anybody may have written', () => {
  it(
    'are read and can be planned, or are refused with a line and a column',
    async () => {
      const folder = temporary.make();
      for (const name of ['sounds', 'models/m/1']) mkdirSync(join(folder, name), { recursive: true });
      writeFileSync(join(folder, 'models/m/1/model.onnx'), 'model');
      writeFileSync(
        join(folder, 'f.mjs'),
        'export const make = () => 1; export const sum = make; export const turn = make;',
      );
      const file = join(folder, 'app.yaml');
      const read = (text: string) => {
        writeFileSync(file, text);
        return readStream(file);
      };
      const { graph, problems } = read(DEFINITION);
      if (!graph) throw new Error(problems.map(({ message }) => message).join());
      const copies = join(folder, 'copies');
      const first = await resolveStream(graph, copies);
      await fc.assert(
        fc.asyncProperty(changed(DEFINITION), async (text) => {
          const { graph, problems } = read(text);
          if (graph) {
            const plan = planUpgrade(first, await resolveStream(graph, copies));
            expect(plan.refusals.every((refusal) => refusal.endsWith('.'))).toBe(true);
            return;
          }
          expect(problems.length).toBeGreaterThan(0);
          const lines = text.split('\n').length;
          for (const { line = 0, column = 0, message } of problems) {
            expect(message).toMatch(/\S/);
            expect(line, message).toBeGreaterThanOrEqual(1);
            expect(line, message).toBeLessThanOrEqual(lines);
            expect(column, message).toBeGreaterThanOrEqual(1);
          }
        }),
        options(0.5),
      );
    },
    MINUTES,
  );
});

const TYPES = { x: 'FP32[1,2]', words: 'BYTES[-1]', flag: 'BOOL[1]', big: 'INT64[2]' };
const RECORD = {
  key: 'sensor-7',
  values: { x: [[0.5, 1e30]], words: ['a', 'ä'], flag: true, big: [1, '9007199254740993'] },
  sequence: 3,
};

/** A source that takes all records, and counts them. */
function sourceOf() {
  const taken = { records: 0 };
  const ingest = async ({ key }: { key: string }) => {
    if (key.includes('\n')) throw new Error('the log takes no such key');
    taken.records += 1;
    return taken.records - 1;
  };
  const feed: Feed = { positions: new Map(), backlog: () => 0, ingest };
  return { taken, source: new PostedRecords('in', TYPES, feed) };
}

describe('frames of records that anybody may have sent', () => {
  const record = JSON.stringify(RECORD);
  const frame = fc.oneof(
    changed(record),
    changed(`{"records":[${record},${record}]}`),
    fc.jsonValue().map((value) => JSON.stringify({ ...RECORD, values: { ...RECORD.values, x: value } })),
    fc.jsonValue().map((value) => JSON.stringify({ ...RECORD, values: value })),
    fc.jsonValue().map((value) => JSON.stringify(value)),
    fc.nat(100_000).map((depth) => '['.repeat(depth)),
  );

  it(
    'are taken, or refused as wrong with one sentence',
    async () => {
      const { source, taken } = sourceOf();
      await fc.assert(
        fc.asyncProperty(frame, async (text) => {
          const before = taken.records;
          try {
            await source.take(readJson(Buffer.from(text), 'the frame'));
          } catch (error) {
            expect(error).toBeInstanceOf(InferenceError);
            expect((error as InferenceError).code).toBe('invalid');
            expect((error as Error).message.length).toBeLessThan(2000);
            expect(taken.records).toBe(before);
          }
        }),
        options(0.48),
      );
    },
    MINUTES,
  );

  it(
    'end their connection alone, whatever their bytes are',
    async () => {
      const { source } = sourceOf();
      const { observatory } = new ObservedApplication();
      const bugs: string[] = [];
      const front = new Front({
        trust: inferenceTrust({ http: '127.0.0.1:0', grpc: undefined }, () => {}),
        observatory,
        metrics: new Metrics(observatory),
        posted: () => source,
        limit: 10_000,
        log: (message) => bugs.push(message),
      });
      await front.listen();
      const good = new WebSocket(`${front.url.replace(/^http/, 'ws')}/v1/records?source=in`);
      await new Promise((resolve) => good.once('open', resolve));
      const { port } = new URL(front.url);
      try {
        await fc.assert(
          fc.asyncProperty(
            fc.array(fc.oneof(fc.uint8Array({ maxLength: 300 }), rawFrame(frame)), { maxLength: 4 }),
            async (pieces) => {
              await sendRaw(Number(port), pieces);
              const answered = new Promise((resolve) => good.once('message', resolve));
              good.send(record);
              expect(String(await answered)).toContain('"records"');
            },
          ),
          options(0.02),
        );
        expect(bugs).toEqual([]);
      } finally {
        good.terminate();
        await front.close(0);
      }
    },
    MINUTES,
  );
});

/** A frame of text as a client sends it, with its first two bytes changed at times. */
function rawFrame(text: fc.Arbitrary<string>): fc.Arbitrary<Uint8Array> {
  return fc.tuple(text, fc.option(fc.uint8Array({ minLength: 2, maxLength: 2 }))).map(([given, head]) => {
    const payload = Buffer.from(given).subarray(0, 60_000);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(payload.length);
    const first = head ?? [0x81, payload.length < 126 ? 0x80 | payload.length : 0x80 | 126];
    return Buffer.concat([
      Buffer.from(first),
      ...(payload.length < 126 ? [] : [length]),
      Buffer.alloc(4),
      payload,
    ]);
  });
}

/** Connects as a WebSocket, sends these bytes and ends. Resolves when the connection is closed. */
function sendRaw(port: number, pieces: readonly Uint8Array[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (!['ECONNRESET', 'EPIPE'].includes(error.code ?? '')) reject(error);
    });
    socket.on('close', () => resolve());
    socket.write(
      `GET /v1/records?source=in HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
    );
    socket.once('data', () => {
      socket.resume();
      for (const piece of pieces) socket.write(piece);
      socket.end();
    });
  });
}
