import { Agent, request as httpRequest, type RequestOptions } from 'node:http';
import { connect } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inferenceDefinitions, SERVICE } from '#farlight/infer/grpc/inference-definitions.js';
import { grpc } from '#farlight/link/grpc/grpc.js';
import { serving } from '../infer/protocol/served.js';
import { mutate } from '../support/random/mutations.js';
import { seeded } from '../support/random/seeded.js';

/** FARLIGHT_FUZZ_RUNS is how many hostile requests there are, all kinds together. */
const given = process.env.FARLIGHT_FUZZ_RUNS;
const runs = Number(given ?? 1500);
const random = seeded(Number(process.env.FARLIGHT_FUZZ_SEED ?? 1));
const timeout = given === undefined ? 180_000 : 24 * 3600_000;
/** A test must not take longer for a broken request than this: the client waits for nothing more. */
const QUIET_MS = 50;

const LIMIT = 256 << 10;
const servers = serving();
let http: Awaited<ReturnType<ReturnType<typeof serving>['http']>>;
let rpc: Awaited<ReturnType<ReturnType<typeof serving>['grpc']>>;
const agent = new Agent({ keepAlive: true, maxSockets: 4 });

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

beforeAll(async () => {
  http = await servers.http({ limit: LIMIT, budget: 64 * LIMIT, idleMs: 2000 });
  rpc = await servers.grpc({ limit: LIMIT });
});

afterAll(async () => {
  agent.destroy();
  await servers.close();
});

const below = (most: number) => Math.floor(random() * most);
const oneOf = <T>(...choices: T[]): T => choices[below(choices.length)] as T;

/** A request for a result in which one thing is wrong, so that no server can answer it with a result. */
function wrongRequest(): { path: string; headers: Record<string, string>; body: Buffer } {
  const input: Record<string, unknown> = { name: 'x', datatype: 'INT32', shape: [2], data: [1, 2] };
  const request: Record<string, unknown> = { inputs: [input] };
  let path = '/v2/models/echo-INT32/infer';
  const headers: Record<string, string> = {};
  let body: Buffer | undefined;
  switch (below(14)) {
    case 0:
      input.shape = oneOf<unknown>(
        [-1],
        [1.5],
        ['2'],
        [2 ** 53],
        [2 ** 30, 2 ** 30, 2 ** 30],
        [3],
        'x',
        {},
        null,
        [[2]],
        Array(100).fill(1),
        [2 ** 31 - 1],
      );
      break;
    case 1:
      input.data = oneOf<unknown>(
        [1],
        [1, 2, 3],
        'ab',
        {},
        null,
        [1, 'x'],
        [1, 2.5],
        [1, 2 ** 31],
        [[1, 2]],
        [1, null],
        [1, [2]],
      );
      break;
    case 2:
      input.datatype = oneOf<unknown>('INT33', 'BF16', '', 7, null, {}, 'x'.repeat(1 << 16), '__proto__');
      break;
    case 3:
      input.name = oneOf<unknown>('', 'y', 7, null, {}, []);
      break;
    case 4:
      request.inputs = oneOf<unknown>(
        null,
        {},
        'x',
        [],
        [null],
        [7],
        [[]],
        [input, input],
        Array(5000).fill(7),
      );
      break;
    case 5:
      request.outputs = oneOf<unknown>(
        'y',
        {},
        [7],
        [{}],
        [{ name: 'z' }],
        [{ name: 'y' }, { name: 'y' }],
        [{ name: 'y', parameters: { classification: 1e9 } }],
      );
      break;
    case 6:
      request.parameters = oneOf<unknown>(
        [],
        'x',
        { priority: -1 },
        { priority: 'x' },
        { timeout: 1.5 },
        { sequence_id: 1 },
        { timeout: 1e300 },
      );
      break;
    case 7: {
      // What the JSON says of the binary data behind it is wrong.
      delete input.data;
      input.parameters = {
        binary_data_size: oneOf<unknown>(7, 9, -8, 2 ** 53, 1e300, '8', null, {}, 2 ** 31),
      };
      const json = Buffer.from(JSON.stringify(request));
      headers['inference-header-content-length'] = `${json.length}`;
      body = Buffer.concat([json, Buffer.alloc(8)]);
      break;
    }
    case 8:
      headers['inference-header-content-length'] = oneOf(
        '1',
        '-1',
        'x',
        '99999999999999999999',
        '1e9',
        '0',
        ' ',
        '0x10',
        '7',
      );
      break;
    case 9:
      body = Buffer.from(oneOf('[', '{"a":', '[{"inputs":').repeat(below(20_000) + 100));
      break;
    case 10:
      headers['content-encoding'] = oneOf('gzip', 'deflate', 'br', 'x'.repeat(1000));
      if (random() < 0.1) {
        headers['content-encoding'] = 'gzip';
        body = gzipSync(Buffer.alloc(32 << 20));
      }
      break;
    case 11:
      path = oneOf(
        '/v2/models/nosuch/infer',
        '/v2/models//infer',
        '/v2/models/%ff/infer',
        '/v2/models/echo-INT32/versions/9/infer',
        '/v2/models/../infer',
        `/v2/models/${'x'.repeat(8000)}/infer`,
        '/v2/models/echo-INT32/infer/infer',
        '/%2e%2e/etc/passwd',
      );
      break;
    case 12:
      body = Buffer.alloc(LIMIT + 1 + below(LIMIT), 0x20);
      break;
    default:
      body = Buffer.from(
        oneOf('', 'null', '7', '"x"', 'NaN', '[]', '\u0000', '{"inputs"}', '{"inputs":[{"name":"x"}]}'),
      );
  }
  return { path, headers, body: body ?? Buffer.from(JSON.stringify(request)) };
}

function ask(
  path: string,
  headers: Record<string, string>,
  body: Buffer,
): Promise<{ status: number; text: string }> {
  const options: RequestOptions = {
    port: http.port,
    host: '127.0.0.1',
    method: 'POST',
    path,
    agent,
    headers,
  };
  return new Promise((resolve, reject) => {
    const asked = httpRequest(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
      );
    });
    asked.once('error', reject);
    asked.end(body);
  });
}

/** The statuses that a server sends for some bytes, until it ends the connection or says nothing more. */
function send(bytes: Uint8Array): Promise<number[]> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connect(http.port, '127.0.0.1');
    const quiet = setTimeout(() => socket.destroy(), QUIET_MS);
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      quiet.refresh();
    });
    socket.on('error', () => {});
    socket.once('close', () => {
      clearTimeout(quiet);
      const text = Buffer.concat(chunks).toString('latin1');
      resolve([...text.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map(([, status]) => Number(status)));
    });
    socket.write(bytes);
  });
}

/** Bytes that the process holds, when all garbage is gone. */
async function held(): Promise<number> {
  for (let round = 0; round < 3; round += 1) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    collect();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function memoryIsFlat(act: (round: number) => Promise<void>, rounds: number): Promise<void> {
  // What is made once, such as compiled code, is made in the first tenth.
  const first = Math.ceil(rounds / 10);
  for (let round = 0; round < first; round += 1) await act(round);
  const before = await held();
  for (let round = first; round < rounds; round += 1) await act(round);
  const after = await held();
  if (given)
    console.error(
      `${rounds} runs: ${Math.round(before / 2 ** 20)} MiB before, ${Math.round(after / 2 ** 20)} after`,
    );
  expect(after - before).toBeLessThan(16 << 20);
}

describe('hostile requests for a result', () => {
  it(
    'over HTTP: each is refused with a status of 4xx and one sentence, and memory stays flat',
    async () => {
      await memoryIsFlat(
        async () => {
          const { path, headers, body } = wrongRequest();
          const { status, text } = await ask(path, headers, body);
          const shown = `${path.slice(0, 100)} ${JSON.stringify(headers)} ${body.subarray(0, 200)}: ${status} ${text.slice(0, 300)}`;
          expect(status, shown).toBeGreaterThanOrEqual(400);
          expect(status, shown).toBeLessThan(500);
          if (status !== 431)
            expect(JSON.parse(text), shown).toEqual({ error: expect.stringMatching(/^[^\n]{1,600}$/) });
        },
        Math.ceil(runs / 2),
      );
      expect(http.errors).toEqual([]);
      expect(http.server.budget.taken).toBe(0);
      expect((await fetch(`${http.url}/v2/models/simple`)).status).toBe(200);
    },
    timeout,
  );

  it(
    'over HTTP, as changed bytes: none is the server’s fault',
    async () => {
      const body = JSON.stringify({
        id: '7',
        inputs: [{ name: 'x', datatype: 'INT32', shape: [2], data: [1, 2] }],
      });
      const requests = [
        `POST /v2/models/echo-INT32/infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
        `POST /v2/repository/index HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
        'GET /v2/models/simple/versions/1/stats?a=b HTTP/1.1\r\nhost: localhost\r\naccept-encoding: gzip;q=1\r\n\r\n',
      ].map((text) => Buffer.from(text));
      await memoryIsFlat(
        async () => {
          const from = oneOf(...requests);
          let bytes = mutate(from, oneOf(...requests), random);
          for (let more = below(3); more > 0; more -= 1) bytes = mutate(bytes, from, random);
          // Nothing, where the server waits for more: 5xx but for what it says is not served.
          for (const status of await send(bytes)) {
            expect(status < 500 || status === 501, `${status}: ${Buffer.from(bytes)}`).toBe(true);
          }
        },
        Math.ceil(runs / 8),
      );
      expect(http.errors).toEqual([]);
      await expect.poll(() => http.server.budget.taken).toBe(0);
    },
    timeout,
  );

  it(
    'over gRPC, as changed bytes: none is the server’s fault, and memory stays flat',
    async () => {
      const { ModelInfer } = inferenceDefinitions()[SERVICE] as unknown as {
        ModelInfer: { requestSerialize(message: object): Buffer };
      };
      const input = (datatype: string, shape: unknown[], contents?: object) => ({
        name: 'x',
        datatype,
        shape,
        contents,
      });
      const requests = [
        { model_name: 'echo-INT32', inputs: [input('INT32', [2], { int_contents: [1, 2] })] },
        { model_name: 'echo-FP32', inputs: [input('FP32', [2])], raw_input_contents: [Buffer.alloc(8)] },
        { model_name: 'echo-BYTES', inputs: [input('BYTES', [1], { bytes_contents: ['YQ=='] })] },
        {
          model_name: 'echo-INT64',
          inputs: [input('INT64', ['9223372036854775807'], { int64_contents: [1] })],
        },
        {
          model_name: 'echo-INT8',
          inputs: [input('INT8', [2 ** 30, 2 ** 30], { int_contents: Array(1000).fill(1) })],
        },
      ].map((message) => ModelInfer.requestSerialize(message));
      const same = (bytes: Buffer) => bytes;
      const { status } = grpc();
      await memoryIsFlat(
        async () => {
          let bytes = mutate(oneOf(...requests), oneOf(...requests), random);
          for (let more = below(3); more > 0; more -= 1) bytes = mutate(bytes, oneOf(...requests), random);
          const code = await new Promise<number>((resolve) => {
            rpc.client.makeUnaryRequest(`/${SERVICE}/ModelInfer`, same, same, Buffer.from(bytes), (error) => {
              resolve(error?.code ?? status.OK);
            });
          });
          expect([status.OK, status.INVALID_ARGUMENT, status.NOT_FOUND]).toContain(code);
        },
        Math.ceil((runs * 3) / 8),
      );
      expect(rpc.errors).toEqual([]);
    },
    timeout,
  );

  it('headers of 64 MiB are cut off, and take no memory', async () => {
    const before = await held();
    const socket = connect(http.port, '127.0.0.1').on('error', () => {});
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.resume();
    socket.write('GET /v2 HTTP/1.1\r\nhost: localhost\r\n');
    const line = Buffer.from(`x: ${'x'.repeat(1 << 20)}\r\n`);
    for (let sent = 0; sent < 64 && !socket.destroyed; sent += 1) {
      if (!socket.write(line))
        await Promise.race([closed, new Promise((resolve) => socket.once('drain', resolve))]);
    }
    await closed;
    expect((await held()) - before).toBeLessThan(16 << 20);
  });
});
