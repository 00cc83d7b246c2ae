import { appendFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { serialize } from 'node:v8';
import { afterAll, describe, expect, it, vi } from 'vitest';
import type { Tensor } from '#farlight/infer/service/tensor.js';
import type { Broker, Message } from '#farlight/stream/broker/broker.js';
import { EACH, KEY } from '#farlight/stream/definition/upgrade-plan.js';
import { SinkWriter } from '#farlight/stream/run/sink-writer.js';
import { FileSink } from '#farlight/stream/sinks/file-sink.js';
import { HttpSink } from '#farlight/stream/sinks/http-sink.js';
import { outputText } from '#farlight/stream/sinks/output-text.js';
import type { Output } from '#farlight/stream/sinks/sink.js';
import { Deliveries } from '#farlight/stream/workers/coordinator/deliveries.js';
import { folders } from '../support/trust/trust.js';
import { tensorOf } from './support/numbers.js';

const temporary = folders();
afterAll(() => temporary.remove());

function outputOf(offset: number, values: Record<string, Tensor> = { y: tensorOf(offset) }): Output {
  return { sink: 'out', source: 's', offset, index: 0, key: 'k', values };
}

const idsIn = (file: string) => {
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line).id as string);
};

describe('a line for an output', () => {
  const bytes = (array: { buffer: ArrayBufferLike }) => new Uint8Array(array.buffer as ArrayBuffer);
  it.each<[string, Omit<Tensor, 'name'>, unknown]>([
    ['one element as it is', { datatype: 'FP32', shape: [1, 1], data: bytes(Float32Array.of(0.5)) }, 0.5],
    ['a list', { datatype: 'INT32', shape: [3], data: bytes(Int32Array.of(1, -2, 3)) }, [1, -2, 3]],
    [
      'rows of rows',
      { datatype: 'UINT8', shape: [2, 2, 1], data: Uint8Array.of(1, 2, 3, 4) },
      [
        [[1], [2]],
        [[3], [4]],
      ],
    ],
    ['no rows', { datatype: 'FP32', shape: [0, 4], data: new Uint8Array() }, []],
    ['truth', { datatype: 'BOOL', shape: [2], data: Uint8Array.of(1, 0) }, [true, false]],
    ['text', { datatype: 'BYTES', shape: [1], data: [Buffer.from('é')] }, 'é'],
    ['half precision', { datatype: 'FP16', shape: [1], data: bytes(Uint16Array.of(0x3800)) }, 0.5],
    [
      'integers that a number holds',
      { datatype: 'INT64', shape: [1], data: bytes(BigInt64Array.of(-5n)) },
      -5,
    ],
    [
      'longer integers as text',
      { datatype: 'UINT64', shape: [1], data: bytes(BigUint64Array.of(2n ** 60n)) },
      '1152921504606846976',
    ],
    [
      'what is no number as text',
      { datatype: 'FP64', shape: [2], data: bytes(Float64Array.of(Number.NaN, 1)) },
      ['NaN', 1],
    ],
  ])('has %s', (_, tensor, expected) => {
    const { values } = JSON.parse(outputText(outputOf(1, { y: { name: 'y', ...tensor } })));
    expect(values.y).toEqual(expected);
  });
});

describe('a sink that is a file', () => {
  it('has each output once, also where outputs come again after a restart', async () => {
    const file = join(temporary.make(), 'deep', 'out.jsonl');
    let sink = await FileSink.open(file, undefined, true);
    await sink.write([outputOf(0), outputOf(1)]);
    const mark = sink.mark();
    await sink.write([outputOf(2), outputOf(3)]);
    await sink.close();
    sink = await FileSink.open(file, mark, true);
    await sink.write([outputOf(3), outputOf(2), outputOf(4)]);
    await sink.close();
    expect(idsIn(file)).toEqual(['s/0/0', 's/1/0', 's/2/0', 's/3/0', 's/4/0']);
  });

  it('loses the line that a crash has cut, and gets that output again', async () => {
    const file = join(temporary.make(), 'out.jsonl');
    let sink = await FileSink.open(file, undefined, false);
    await sink.write([outputOf(0)]);
    await sink.close();
    const whole = readFileSync(file, 'utf8');
    appendFileSync(file, whole.slice(0, 10));
    sink = await FileSink.open(file, 0, false);
    await sink.write([outputOf(0), outputOf(1)]);
    await sink.close();
    expect(idsIn(file)).toEqual(['s/0/0', 's/1/0']);
  });

  it('has each output once where somebody has cut the file meanwhile', async () => {
    const file = join(temporary.make(), 'out.jsonl');
    let sink = await FileSink.open(file, undefined, false);
    await sink.write([outputOf(0), outputOf(1)]);
    const mark = sink.mark();
    writeFileSync(file, '');
    await sink.write([outputOf(2)]);
    expect(sink.mark()).toBeLessThan(mark);
    await sink.close();
    sink = await FileSink.open(file, mark, false);
    await sink.write([outputOf(2), outputOf(3)]);
    await sink.close();
    expect(idsIn(file)).toEqual(['s/2/0', 's/3/0']);
  });

  it('cuts off nothing when it is opened beside the sink of the version before', async () => {
    const file = join(temporary.make(), 'out.jsonl');
    const before = await FileSink.open(file, undefined, false);
    await before.write([outputOf(0)]);
    const handle = await open(file, 'r');
    const stat = vi.spyOn(Object.getPrototypeOf(handle), 'stat');
    await handle.close();
    // The sink of the version before writes while the new one looks at the file.
    stat.mockImplementationOnce(async () => {
      const looked = statSync(file);
      appendFileSync(file, `${outputText(outputOf(1))}\n`);
      return looked;
    });
    const after = await FileSink.open(file, undefined, false);
    stat.mockRestore();
    await after.write([outputOf(2)]);
    await Promise.all([before.close(), after.close()]);
    expect(idsIn(file)).toEqual(['s/0/0', 's/1/0', 's/2/0']);
  });

  it('leaves lines alone that were there before the application', async () => {
    const file = join(temporary.make(), 'out.jsonl');
    writeFileSync(file, 'a line of a person\n');
    const sink = await FileSink.open(file, undefined, false);
    await sink.write([outputOf(0)]);
    await sink.close();
    expect(readFileSync(file, 'utf8')).toMatch(/^a line of a person\n\{"id":"s\/0\/0"/);
  });
});

describe('a sink that is an address', () => {
  it('posts an output until it is taken, with the same key, before the next one', async () => {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      request.resume();
      asked.push(String(request.headers['idempotency-key']));
      response.writeHead(asked.length < 3 ? 503 : 204).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const said: string[] = [];
    const sink = new HttpSink({
      url: `http://127.0.0.1:${port}/out`,
      application: 'app',
      log: (message) => said.push(message),
    });
    await sink.write([outputOf(0), outputOf(1)]);
    await sink.close();
    const again = new HttpSink({ url: `http://127.0.0.1:${port}/out`, application: 'app', log: () => {} });
    // Another sink that posts to the same address.
    await again.write([{ ...outputOf(1), sink: 'other' }]);
    await again.close();
    server.close();
    expect(asked).toEqual([
      ...Array.from({ length: 3 }, () => '"app/out/s/0/0"'),
      '"app/out/s/1/0"',
      '"app/other/s/1/0"',
    ]);
    expect(said[0]).toMatch(/answers 503 to output s\/0\/0: it is posted again/);
  });
});

describe('the outputs of a record', () => {
  const record = { source: 's', offset: 4, key: 'mic-1', values: {} };
  const version = { id: 'v', sources: [], steps: [], sinks: [] };
  const text = (...texts: string[]): Tensor => {
    return {
      name: 't',
      datatype: 'BYTES',
      shape: [texts.length],
      data: texts.map((each) => Buffer.from(each)),
    };
  };

  it.each<[string, Record<string, Tensor>, string[]]>([
    ['of their record', {}, ['mic-1']],
    ['that their sink chooses', { [KEY]: text('hall') }, ['hall']],
    ['that is no text, as JSON', { [KEY]: tensorOf(7) }, ['7']],
    [
      'of their row',
      { [EACH]: text('a', 'b'), y: text('c', 'd'), [KEY]: text('one', 'two') },
      ['one', 'two'],
    ],
  ])('have the key %s', async (_, values, keys) => {
    const given: Output[] = [];
    const sink = {
      write: async (all: readonly Output[]) => void given.push(...all),
      mark: () => 0,
      close: async () => {},
    };
    await new Promise<void>((resolve, reject) => {
      const writer = new SinkWriter(sink, { wrote: () => resolve(), refused: () => {}, fail: reject });
      writer.write({ kind: 'write', sink: 'out', version, record, values: { y: tensorOf(1), ...values } });
    });
    expect(given.map(({ key }) => key)).toEqual(keys);
    expect(given.map(({ values: written }) => Object.keys(written))).toEqual(keys.map(() => ['y']));
    expect(given.map(({ offset, index }) => [offset, index])).toEqual(keys.map((_, index) => [4, index]));
  });
});

describe('a record whose values do not fit together', () => {
  it('has no outputs, and the others of its sink have theirs', async () => {
    const rows = (count: number) => ({ ...tensorOf(0), shape: [count], data: new Uint8Array(4 * count) });
    const record = (offset: number) => ({ source: 's', offset, key: 'k', values: {} });
    const version = { id: 'v', sources: [], steps: [], sinks: [] };
    const given: Output[] = [];
    const refused: string[] = [];
    const sink = {
      write: async (all: readonly Output[]) => void given.push(...all),
      mark: () => 0,
      close: async () => {},
    };
    await new Promise<void>((resolve, reject) => {
      const writer = new SinkWriter(sink, {
        wrote: ({ record: { offset } }) => offset === 2 && resolve(),
        refused: ({ record: { offset } }, message) => void refused.push(`${offset}: ${message}`),
        fail: reject,
      });
      for (const [offset, count] of [2, 1, 2].entries())
        writer.write({
          kind: 'write',
          sink: 'out',
          version,
          record: record(offset),
          values: { [EACH]: rows(2), y: rows(count) },
        });
    });
    expect(given.map(({ offset, index }) => [offset, index])).toEqual([
      [0, 0],
      [0, 1],
      [2, 0],
      [2, 1],
    ]);
    expect(refused).toEqual(['1: value "y" has 1 rows, fewer than the value of "each"']);
  });
});

describe('the deliveries of a coordinator', () => {
  it('keep the mark of a sink while it may have outputs of later messages, since another coordinator may follow soon', async () => {
    const target = { kind: 'file', file: '/out.jsonl' } as const;
    const messages = [1, 2, 3].map((sequence): Message => {
      const content = serialize({ sink: 'out', target, outputs: [outputOf(sequence)] });
      return { partition: 0, sequence, id: `m${sequence}`, body: Buffer.concat([Uint8Array.of(1), content]) };
    });
    let given = 0;
    let may = 1;
    const broker = {
      last: async () => messages.at(-1),
      follow: async () => ({
        next: () => (given < may ? messages[given++] : undefined),
        close: () => {},
      }),
      rest: () => new Promise((resolve) => setTimeout(resolve, 1)),
    } as unknown as Broker;
    let isOver = false;
    let writes = 0;
    const id = JSON.stringify(target);
    const deliveries = new Deliveries(
      {
        broker,
        partitions: 1,
        // The coordinator before has written all three, and told nobody.
        openSink: async () => ({
          write: async () => {
            writes += 1;
          },
          mark: () => 300,
          close: async () => {},
        }),
        store: async () => {},
        mayWrite: async () => {},
        delivered: () => {},
        isOver: () => isOver,
      },
      { delivered: 0, marks: new Map([[id, 0]]) },
    );
    await expect.poll(() => deliveries.state.delivered).toBe(1);
    expect(deliveries.state.marks.get(id)).toBe(0);
    may = 3;
    await expect.poll(() => deliveries.state.delivered).toBe(3);
    expect(deliveries.state.marks.get(id)).toBe(300);
    // All that is there at once is one write.
    expect(writes).toBe(2);
    isOver = true;
    await deliveries.close();
  });
});
