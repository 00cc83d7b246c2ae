import { connect } from 'node:net';
import { deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib';
import { Ajv } from 'ajv';
import { afterEach, describe, expect, it } from 'vitest';
import { OPEN_API } from '#farlight/infer/http/openapi.js';
import { InferenceError } from '#farlight/infer/service/service.js';
import { raw, serving, soon } from './served.js';

const servers = serving();
afterEach(() => servers.close());

const ones = Array(16).fill(1);
const counting = Array.from({ length: 16 }, (_, at) => at);
const input = (name: string, data: unknown, extra: object = {}) => ({
  name,
  datatype: 'INT32',
  shape: [1, 16],
  data,
  ...extra,
});
const sum = { inputs: [input('INPUT0', counting), input('INPUT1', ones)] };

async function post(url: string, body: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(url, {
    method: 'POST',
    headers,
    body: body instanceof Uint8Array || typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, json: (await response.json()) as never };
}

/** A body of JSON and the binary data behind it. */
function binary(json: object, ...pieces: Uint8Array[]): [Buffer, Record<string, string>] {
  const text = Buffer.from(JSON.stringify(json));
  return [
    Buffer.concat([text, ...pieces]),
    { 'Inference-Header-Content-Length': `${text.length}`, 'Content-Type': 'application/octet-stream' },
  ];
}

const int32 = (numbers: readonly number[]) => new Uint8Array(Int32Array.from(numbers).buffer);

describe('a request in JSON', () => {
  it('a request in JSON gets its outputs in JSON, with its id', async () => {
    const { url } = await servers.http();
    const { status, json } = await post(`${url}/v2/models/simple/infer?a=1&b=2`, { ...sum, id: '42' });
    expect(status).toBe(200);
    expect(json).toEqual({
      id: '42',
      model_name: 'simple',
      model_version: '1',
      outputs: [
        { name: 'OUTPUT0', datatype: 'INT32', shape: [1, 16], data: counting.map((each) => each + 1) },
        { name: 'OUTPUT1', datatype: 'INT32', shape: [1, 16], data: counting.map((each) => each - 1) },
      ],
    });
  });

  it('a request gets the outputs that it names, from the version that it names', async () => {
    const { url, service } = await servers.http();
    const body = { ...sum, outputs: [{ name: 'OUTPUT1' }], parameters: { priority: 2, timeout: 1500 } };
    const { json } = await post(`${url}/v2/models/simple/versions/1/infer`, body);
    expect((json as { outputs: unknown[] }).outputs).toHaveLength(1);
    expect(service.asked[0]).toMatchObject({
      version: '1',
      outputs: ['OUTPUT1'],
      priority: 2,
      timeout: 1.5,
      tenant: 'default',
    });
  });

  it('an integer of 64 bits comes back as it was written', async () => {
    const { url } = await servers.http();
    const text =
      '{"id":"1234567890123456789","inputs":[{"name":"x","datatype":"INT64","shape":[3],"data":[9007199254740993,-9223372036854775808,7]}]}';
    const response = await fetch(`${url}/v2/models/echo-INT64/infer`, { method: 'POST', body: text });
    const answered = await response.text();
    expect(answered).toContain('"data":[9007199254740993,-9223372036854775808,7]');
    expect(answered).toContain('"id":"1234567890123456789"');
  });

  it('the greatest elements are given as classes', async () => {
    const { url } = await servers.http();
    const outputs = [{ name: 'OUTPUT0', parameters: { classification: 2 } }];
    const { json } = await post(`${url}/v2/models/simple/infer`, { ...sum, outputs });
    expect((json as { outputs: unknown[] }).outputs).toEqual([
      { name: 'OUTPUT0', datatype: 'BYTES', shape: [1, 2], data: ['16:15', '15:14'] },
    ]);
  });

  it('classes have their labels, as far as there are any', async () => {
    const { url } = await servers.http();
    const outputs = [{ name: 'OUTPUT1', parameters: { classification: 16 } }];
    const { json } = await post(`${url}/v2/models/simple/infer`, { ...sum, outputs });
    const [{ data }] = (json as { outputs: [{ data: string[] }] }).outputs;
    expect(data.slice(-3)).toEqual(['1:2', '0:1:second', '-1:0:first']);
  });

  it('the configuration says where an image has its channels', async () => {
    const { url } = await servers.http();
    const read = async (model: string) => (await fetch(`${url}/v2/models/${model}/config`)).json();
    expect(await read('picture')).toMatchObject({ input: [{ format: 'FORMAT_NCHW' }] });
    expect(await read('simple')).toMatchObject({ input: [{ format: 'FORMAT_NONE' }, {}] });
  });
});

describe('binary tensors', () => {
  it('binary tensors lie behind the JSON of requests and answers, beside others in JSON', async () => {
    const { url } = await servers.http();
    const inputs = [
      input('INPUT0', counting),
      input('INPUT1', undefined, { parameters: { binary_data_size: 64 } }),
    ];
    const outputs = [{ name: 'OUTPUT0', parameters: { binary_data: true } }, { name: 'OUTPUT1' }];
    const [body, headers] = binary({ inputs, outputs }, int32(ones));
    const response = await fetch(`${url}/v2/models/simple/infer`, { method: 'POST', headers, body });
    const length = Number(response.headers.get('inference-header-content-length'));
    const answered = Buffer.from(await response.arrayBuffer());
    const json = JSON.parse(answered.subarray(0, length).toString());
    expect(json.outputs).toMatchObject([
      { name: 'OUTPUT0', parameters: { binary_data_size: 64 } },
      { name: 'OUTPUT1', data: counting.map((each) => each - 1) },
    ]);
    expect(new Uint8Array(answered.subarray(length))).toEqual(int32(counting.map((each) => each + 1)));
  });

  it('all outputs are binary if the request asks for it, except one that does not', async () => {
    const { url } = await servers.http();
    const outputs = [{ name: 'OUTPUT0', parameters: { binary_data: false } }, { name: 'OUTPUT1' }];
    const body = JSON.stringify({ ...sum, outputs, parameters: { binary_data_output: true } });
    const response = await fetch(`${url}/v2/models/simple/infer`, { method: 'POST', body });
    const length = Number(response.headers.get('inference-header-content-length'));
    const json = JSON.parse((await response.text()).slice(0, length));
    expect(json.outputs[0]).toHaveProperty('data');
    expect(json.outputs[1]).not.toHaveProperty('data');
  });

  it('a header length of 0 makes the binary tensor the whole body', async () => {
    const { url, service } = await servers.http();
    const headers = { 'Inference-Header-Content-Length': '0' };
    const ask = (model: string, body: Uint8Array) =>
      fetch(`${url}/v2/models/${model}/infer`, { method: 'POST', headers, body: body });
    expect((await ask('picture', new Uint8Array(3 * 4 * 5))).status).toBe(200);
    expect(service.asked[0]?.inputs[0]).toMatchObject({ name: 'x', shape: [1, 3, 5] });
    expect((await ask('one-text', Buffer.from('hello'))).status).toBe(200);
    expect(service.asked[0]?.inputs[0]).toMatchObject({ datatype: 'BYTES', shape: [1] });
    const refused = await ask('simple', int32(ones));
    expect(await refused.json()).toEqual({ error: expect.stringContaining('has 2 inputs') });
    expect((await ask('picture', new Uint8Array(13))).status).toBe(400);
  });

  it.each<[string, object, Uint8Array, string]>([
    ['a size beyond the body', { parameters: { binary_data_size: 65 } }, int32(ones), '64 bytes are left'],
    [
      'bytes that belong to no input',
      { data: ones, parameters: {} },
      int32(ones),
      '64 bytes behind the JSON',
    ],
    [
      'data twice',
      { data: ones, parameters: { binary_data_size: 64 } },
      int32(ones),
      'both "data" and binary',
    ],
    ['a negative size', { parameters: { binary_data_size: -1 } }, int32(ones), 'binary_data_size -1'],
    [
      'shared memory',
      { parameters: { shared_memory_region: 'a' } },
      int32([]),
      'shared memory is not served',
    ],
  ])('rejects %s', async (_, extra, piece, sentence) => {
    const { url } = await servers.http();
    const [body, headers] = binary({ inputs: [input('INPUT0', undefined, extra)] }, piece);
    const { status, json } = await post(`${url}/v2/models/simple/infer`, body, headers);
    expect(status).toBe(400);
    expect(json).toEqual({ error: expect.stringContaining(sentence) });
  });

  it.each(['x', '-1', '1e3', '100000'])('rejects the header length %s', async (length) => {
    const { url } = await servers.http();
    const headers = { 'Inference-Header-Content-Length': length };
    expect((await post(`${url}/v2/models/simple/infer`, sum, headers)).status).toBe(400);
  });
});

describe('compressed bodies', () => {
  it.each([
    ['gzip', gzipSync, gunzipSync],
    ['deflate', deflateSync, inflateSync],
  ] as const)('with %s, a request and its answer', async (encoding, compress, decompress) => {
    const { port } = await servers.http();
    const numbers = Array.from({ length: 1000 }, (_, at) => at);
    const body = compress(
      JSON.stringify({ inputs: [{ name: 'x', datatype: 'INT32', shape: [1000], data: numbers }] }),
    );
    const answer = await raw(
      port,
      `POST /v2/models/echo-INT32/infer HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-encoding: ${encoding}\r\naccept-encoding: ${encoding}\r\ncontent-length: ${body.length}\r\n\r\n`,
      body,
    );
    const end = answer.indexOf('\r\n\r\n');
    expect(answer.subarray(0, end).toString().toLowerCase()).toContain(`content-encoding: ${encoding}`);
    const json = JSON.parse(decompress(answer.subarray(end + 4)).toString());
    expect(json.outputs[0].data).toEqual(numbers);
  });

  it('a compressed body that would not end is refused', async () => {
    const { url } = await servers.http();
    const bomb = gzipSync(Buffer.alloc(64 << 20));
    const headers = { 'content-encoding': 'gzip' };
    expect((await post(`${url}/v2/models/simple/infer`, bomb, headers)).status).toBe(413);
    expect((await post(`${url}/v2/models/simple/infer`, 'no gzip', headers)).status).toBe(400);
    expect((await post(`${url}/v2/models/simple/infer`, '{}', { 'content-encoding': 'br' })).status).toBe(
      415,
    );
    expect(
      (await post(`${url}/v2/models/simple/infer`, '{}', { 'content-encoding': '__proto__' })).status,
    ).toBe(415);
  });
});

describe('each error has its status and one sentence', () => {
  it.each<[string, string, string, unknown, number, RegExp]>([
    [
      'no JSON',
      'POST',
      '/v2/models/simple/infer',
      '{"inputs":',
      400,
      /^the request, without Inference-Header-Content-Length, is not JSON: /,
    ],
    ['no UTF-8', 'POST', '/v2/models/simple/infer', Uint8Array.of(0x22, 0xff, 0x22), 400, /it is no UTF-8/],
    ['no object', 'POST', '/v2/models/simple/infer', '[]', 400, /is a JSON object/],
    ['deep JSON', 'POST', '/v2/models/simple/infer', '['.repeat(1e5), 400, /nested more than 64 levels/],
    ['no inputs', 'POST', '/v2/models/simple/infer', {}, 400, /needs "inputs"/],
    [
      'an input twice',
      'POST',
      '/v2/models/simple/infer',
      { inputs: [sum.inputs[0], sum.inputs[0]] },
      400,
      /is there twice/,
    ],
    [
      'a priority of -1',
      'POST',
      '/v2/models/simple/infer',
      { ...sum, parameters: { priority: -1 } },
      400,
      /"priority" is a whole/,
    ],
    [
      'a sequence',
      'POST',
      '/v2/models/simple/infer',
      { ...sum, parameters: { sequence_id: 7 } },
      400,
      /sequences are not served/,
    ],
    [
      'an output that is not there',
      'POST',
      '/v2/models/simple/infer',
      { ...sum, outputs: [{ name: 'Z' }] },
      400,
      /no output "Z"/,
    ],
    ['an unknown model', 'POST', '/v2/models/nosuch/infer', sum, 404, /^Request for unknown model: 'nosuch'/],
    [
      'an unknown version',
      'GET',
      '/v2/models/simple/versions/9',
      undefined,
      404,
      /^Request for unknown model: 'simple' version 9/,
    ],
    ['an unknown path', 'GET', '/v3', undefined, 404, /there is no \/v3/],
    ['a wrong method', 'GET', '/v2/models/simple/infer', undefined, 405, /has no GET; use POST/],
    ['shared memory', 'GET', '/v2/systemsharedmemory/status', undefined, 501, /shared memory is not served/],
    ['logging', 'GET', '/v2/logging', undefined, 501, /--log-level/],
    [
      'a trace setting that is not served',
      'POST',
      '/v2/trace/setting',
      { trace_level: ['TIMESTAMPS'] },
      501,
      /^trace_level cannot be set: .*traceparent/,
    ],
    ['an unknown trace setting', 'POST', '/v2/trace/setting', { rate: '1' }, 400, /no trace setting "rate"/],
    [
      'a trace setting that is a number',
      'POST',
      '/v2/models/simple/trace/setting',
      { trace_rate: 1 },
      400,
      /"trace_rate" is a string/,
    ],
    [
      'the trace settings of an unknown model',
      'GET',
      '/v2/models/nosuch/trace/setting',
      undefined,
      404,
      /unknown model/,
    ],
    ['generation', 'POST', '/v2/models/simple/generate', {}, 501, /is not served/],
    ['a name that is no escape', 'GET', '/v2/models/%zz', undefined, 404, /there is no/],
    ['a model to load', 'POST', '/v2/repository/models/nosuch/load', '', 404, /^failed to load 'nosuch': /],
    [
      'a body too long',
      'POST',
      '/v2/models/simple/infer',
      'x'.repeat(2 << 20),
      413,
      /longer than the 1048576 bytes/,
    ],
  ])('%s', async (_, method, path, body, status, sentence) => {
    const { url, errors } = await servers.http();
    const text = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
    const response = await fetch(`${url}${path}`, {
      method,
      ...(body !== undefined && { body: text }),
    });
    expect(response.headers.get('content-type')).toBe('application/json');
    const { error, ...rest } = (await response.json()) as { error: string };
    expect(rest).toEqual({});
    expect(error).toMatch(sentence);
    expect(response.status).toBe(status);
    expect(errors).toEqual([]);
  });

  it.each<[ConstructorParameters<typeof InferenceError>[0], number, string | null]>([
    ['invalid', 400, null],
    ['unavailable', 503, null],
    ['overloaded', 503, '3'],
    ['too-large', 413, null],
    ['expired', 503, null],
    ['forbidden', 403, null],
    ['internal', 500, null],
  ])('an error of the service that is %s', async (code, status, retryAfter) => {
    const { url, service } = await servers.http();
    service.failures.set(
      'simple',
      new InferenceError(code, 'a sentence', code === 'overloaded' ? { retryAfter: 2.5 } : {}),
    );
    const answered = await post(`${url}/v2/models/simple/infer`, sum);
    expect(answered.json).toEqual({ error: 'a sentence' });
    expect(answered.status).toBe(status);
    expect(answered.headers.get('retry-after')).toBe(retryAfter);
  });

  it('a client learns nothing of a bug, and the log everything', async () => {
    const { url, service, errors } = await servers.http();
    const bug = new TypeError('secret of /home/owner');
    service.failures.set('simple', bug);
    const { status, json } = await post(`${url}/v2/models/simple/infer`, sum);
    expect(status).toBe(500);
    expect(json).toEqual({ error: 'the server could not answer; its log says why' });
    expect(errors).toEqual([bug]);
  });
});

describe('the OpenAPI document', () => {
  it('the OpenAPI document describes every answer', async () => {
    const { url } = await servers.http();
    const document = (await (await fetch(`${url}/v2/openapi.json`)).json()) as typeof OPEN_API;
    expect(document).toEqual(JSON.parse(JSON.stringify(OPEN_API)));
    const ajv = new Ajv({ strict: false });
    ajv.addSchema(document, 'document');
    const paths = (document as { paths: Record<string, Record<string, object>> }).paths;
    await post(`${url}/v2/models/simple/infer`, sum);
    for (const [path, methods] of Object.entries(paths)) {
      for (const method of Object.keys(methods)) {
        const target = path.replace('{model}', 'simple').replace('{version}', '1');
        const body = path.endsWith('/infer') ? JSON.stringify(sum) : method === 'post' ? '{}' : undefined;
        const loads = path.endsWith('/load') || path.endsWith('/unload');
        for (const asked of loads ? [target, target.replace('simple', 'nosuch')] : [target]) {
          const response = await fetch(`${url}${asked}`, { method, ...(body && { body }) });
          const escaped = path.replaceAll('~', '~0').replaceAll('/', '~1');
          const pointer = `document#/paths/${escaped}/${method}/responses/${response.status}/content/application~1json/schema`;
          const json = await response.json();
          expect(
            ajv.validate({ $ref: pointer }, json),
            `${asked}: ${ajv.errorsText()} ${JSON.stringify(json)}`,
          ).toBe(true);
        }
        if (loads) await post(`${url}/v2/repository/models/simple/load`, {});
      }
    }
  });
});

describe('models', () => {
  it('models are described, configured, counted and listed', async () => {
    const { url, service } = await servers.http();
    const get = async (path: string) => (await fetch(`${url}${path}`)).json();
    const tensor = (name: string) => ({ name, datatype: 'INT32', shape: [-1, 16] });
    expect(await get('/v2')).toMatchObject({ name: 'farlight', version: '1.2.3' });
    expect(await get('/v2/models/simple')).toEqual({
      name: 'simple',
      versions: ['1'],
      platform: 'onnxruntime_onnx',
      inputs: [tensor('INPUT0'), tensor('INPUT1')],
      outputs: [tensor('OUTPUT0'), tensor('OUTPUT1')],
    });
    expect(await get('/v2/models/simple/versions/1/config')).toMatchObject({
      max_batch_size: 8,
      input: [{ name: 'INPUT0', data_type: 'TYPE_INT32', dims: [16] }, { name: 'INPUT1' }],
    });
    await post(`${url}/v2/models/simple/infer`, sum);
    const { model_stats } = (await get('/v2/models/simple/stats')) as { model_stats: object[] };
    expect(model_stats).toMatchObject([
      { name: 'simple', inference_count: 1, inference_stats: { success: { count: 1, ns: 1001 } } },
    ]);
    expect((await post(`${url}/v2/repository/models/simple/unload`, {})).status).toBe(200);
    expect((await fetch(`${url}/v2/models/simple/ready`)).status).toBe(503);
    const all = (await post(`${url}/v2/repository/index`, {})).json as { name: string }[];
    expect(all.find(({ name }) => name === 'simple')).toMatchObject({
      state: 'UNAVAILABLE',
      reason: 'unloaded',
    });
    const ready = (await post(`${url}/v2/repository/index`, { ready: true })).json as object[];
    expect(ready).toHaveLength(all.length - 1);
    service.ready = false;
    expect((await fetch(`${url}/v2/health/ready`)).status).toBe(503);
    expect((await fetch(`${url}/v2/health/live`)).status).toBe(200);
  });

  it('models may be loaded with another batch size, and no other setting', async () => {
    const { url, service } = await servers.http();
    const load = (parameters: object) => post(`${url}/v2/repository/models/simple/load`, { parameters });
    expect((await load({ config: '{"max_batch_size":"16"}' })).status).toBe(200);
    expect(service.configuration('simple').maxBatchSize).toBe(16);
    for (const wrong of [
      { config: '"parameters": {"config"' },
      { config: '{"input":[]}' },
      { config: '{"max_batch_size":-1}' },
      { 'file:1/model.onnx': 'aGVsbG8=' },
      { other: 1 },
    ]) {
      const { status, json } = await load(wrong);
      expect(status).toBe(400);
      expect(json).toEqual({ error: expect.stringMatching(/^failed to load 'simple': /) });
    }
  });
});

describe('a client that goes away', () => {
  it('a client that goes away has its request cancelled', async () => {
    const { port, service, server } = await servers.http();
    const body = JSON.stringify({ inputs: [{ name: 'x', datatype: 'INT32', shape: [1], data: [1] }] });
    const socket = connect(port, '127.0.0.1');
    socket.write(
      `POST /v2/models/slow/infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await soon(() => expect(service.waiting).toHaveLength(1));
    expect(service.waiting[0]?.signal?.aborted).toBe(false);
    expect(server.budget.taken).toBe(body.length);
    socket.destroy();
    await soon(() => expect(service.waiting[0]?.signal?.aborted).toBe(true));
    await soon(() => expect(server.budget.taken).toBe(0));
  });

  it('a client that goes away in the middle of its body leaves nothing behind', async () => {
    const { port, service, server } = await servers.http();
    const socket = connect(port, '127.0.0.1');
    socket.write(
      `POST /v2/models/slow/infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n${'x'.repeat(500)}`,
    );
    await soon(() => expect(server.budget.taken).toBe(500));
    socket.destroy();
    await soon(() => expect(server.budget.taken).toBe(0));
    expect(service.asked).toEqual([]);
  });
});

describe('trace settings', () => {
  const settings = {
    trace_file: '',
    trace_level: ['OFF'],
    trace_rate: '1',
    trace_count: '-1',
    log_frequency: '0',
  };

  it('trace settings are told, of all models and of one', async () => {
    const { url } = await servers.http();
    for (const path of ['/v2/trace/setting', '/v2/models/simple/trace/setting']) {
      expect(await (await fetch(`${url}${path}`)).json()).toEqual(settings);
    }
  });

  it('trace settings may be set to the values that they have, or back to them', async () => {
    const { url } = await servers.http();
    const body = JSON.stringify({ trace_level: ['OFF'], trace_rate: null });
    const response = await fetch(`${url}/v2/trace/setting`, { method: 'POST', body });
    expect([response.status, await response.json()]).toEqual([200, settings]);
  });
});
