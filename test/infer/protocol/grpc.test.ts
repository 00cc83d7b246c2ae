import { connect, constants } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import type { Client, ClientDuplexStream, ClientUnaryCall, ServiceError } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { inferenceDefinitions, SERVICE } from '#farlight/infer/grpc/inference-definitions.js';
import { InferenceError } from '#farlight/infer/service/service.js';
import { grpc } from '#farlight/link/grpc/grpc.js';
import { ask, inferenceClient, serving, soon } from './served.js';

const servers = serving();
afterEach(() => servers.close());

const { status } = grpc();
const counting = Int32Array.from({ length: 16 }, (_, at) => at);
const ones = new Int32Array(16).fill(1);
const bytes = (numbers: Int32Array) => Buffer.from(numbers.buffer);
const declared = (name: string) => ({ name, datatype: 'INT32', shape: [1, 16] });
const sum = {
  model_name: 'simple',
  inputs: [declared('INPUT0'), declared('INPUT1')],
  raw_input_contents: [bytes(counting), bytes(ones)],
};
const one = (model: string, id = '') => ({
  model_name: model,
  id,
  inputs: [{ name: 'x', datatype: 'INT32', shape: [1], contents: { int_contents: [7] } }],
});

describe('ModelInfer', () => {
  it('ModelInfer answers raw and typed contents with raw contents', async () => {
    const { client, service } = await servers.grpc();
    const raw = await ask(client, 'ModelInfer', { ...sum, id: '42' });
    expect(raw).toMatchObject({
      model_name: 'simple',
      model_version: '1',
      id: '42',
      outputs: [{ name: 'OUTPUT0', datatype: 'INT32', shape: [1, 16] }, { name: 'OUTPUT1' }],
      raw_output_contents: [bytes(counting.map((each) => each + 1)), bytes(counting.map((each) => each - 1))],
    });
    const { raw_input_contents: _, ...rest } = sum;
    const inputs = [counting, ones].map((numbers, at) => ({
      ...declared(`INPUT${at}`),
      contents: { int_contents: [...numbers] },
    }));
    const typed = await ask(client, 'ModelInfer', { ...rest, inputs, id: '42' });
    expect(typed).toEqual(raw);
    expect(service.asked[0]).toMatchObject({ tenant: 'default', model: 'simple' });
  });

  it('ModelInfer answers with classes', async () => {
    const { client } = await servers.grpc();
    const outputs = [{ name: 'OUTPUT0', parameters: { classification: { int64_param: 1 } } }];
    const answered: { raw_output_contents: Buffer[] } = await ask(client, 'ModelInfer', { ...sum, outputs });
    expect(answered.raw_output_contents[0]?.toString()).toBe('\x05\0\0\x0016:15');
  });

  it.each<[ConstructorParameters<typeof InferenceError>[0], number]>([
    ['invalid', status.INVALID_ARGUMENT],
    ['not-found', status.NOT_FOUND],
    ['unavailable', status.UNAVAILABLE],
    ['overloaded', status.UNAVAILABLE],
    ['too-large', status.RESOURCE_EXHAUSTED],
    ['expired', status.DEADLINE_EXCEEDED],
    ['forbidden', status.PERMISSION_DENIED],
    ['internal', status.INTERNAL],
  ])('an error of the service that is %s has its code', async (code, expected) => {
    const { client, service } = await servers.grpc();
    const retry = code === 'overloaded' ? { retryAfter: 2.5 } : {};
    service.failures.set('simple', new InferenceError(code, 'a sentence', retry));
    const error = await ask(client, 'ModelInfer', sum).catch((thrown: ServiceError) => thrown);
    expect(error).toMatchObject({ code: expected, details: expect.stringContaining('a sentence') });
    const pushback = (error as ServiceError).metadata.get('grpc-retry-pushback-ms');
    expect(pushback).toEqual(code === 'overloaded' ? ['3000'] : []);
  });

  it("a wrong request is the client's fault, and a bug is the server's", async () => {
    const { client, service, errors } = await servers.grpc();
    await expect(
      ask(client, 'ModelInfer', { ...sum, raw_input_contents: [bytes(ones)] }),
    ).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('has 1 entries for 2 inputs'),
    });
    await expect(ask(client, 'ModelInfer', { ...sum, model_name: 'nosuch' })).rejects.toMatchObject({
      code: status.NOT_FOUND,
      details: "Request for unknown model: 'nosuch' version any is not found",
    });
    expect(errors).toEqual([]);
    const bug = new TypeError('secret');
    service.failures.set('simple', bug);
    await expect(ask(client, 'ModelInfer', sum)).rejects.toMatchObject({
      code: status.INTERNAL,
      details: 'the server could not answer; its log says why',
    });
    expect(errors).toEqual([bug]);
  });

  it('a message beyond the limit is refused', async () => {
    const { client } = await servers.grpc({ limit: 1000 });
    const elements = 2000;
    const message = {
      model_name: 'echo-UINT8',
      inputs: [{ name: 'x', datatype: 'UINT8', shape: [elements] }],
      raw_input_contents: [Buffer.alloc(elements + 1100)],
    };
    await expect(ask(client, 'ModelInfer', message)).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    });
  });

  it('a deadline is told to the service, and cancels the request', async () => {
    const { client, service } = await servers.grpc();
    await ask(client, 'ServerLive', {});
    const asked = ask(client, 'ModelInfer', one('slow'), { deadline: Date.now() + 2000 });
    await expect(asked).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect(service.asked[0]?.timeout).toBeLessThanOrEqual(2000);
    await soon(() => expect(service.waiting[0]?.signal?.aborted).toBe(true));
  });

  it('a call that is cancelled is not computed any more', async () => {
    const { client, service } = await servers.grpc();
    const methods = client as unknown as { ModelInfer(request: object, reply: () => void): ClientUnaryCall };
    const call = methods.ModelInfer(one('slow'), () => {});
    await soon(() => expect(service.waiting).toHaveLength(1));
    expect(service.waiting[0]?.signal?.aborted).toBe(false);
    call.cancel();
    await soon(() => expect(service.waiting[0]?.signal?.aborted).toBe(true));
  });
});

describe('ModelStreamInfer', () => {
  it('a stream answers in the order of the requests, each with its own error', async () => {
    const { client, service } = await servers.grpc();
    const { stream, answers, ended } = open(client);
    stream.write(one('slow', 'a'));
    stream.write(one('nosuch', 'b'));
    stream.write(one('echo-INT32', 'c'));
    await soon(() => expect(service.asked).toHaveLength(3));
    expect(answers).toEqual([]);
    service.waiting[0]?.release();
    stream.end();
    await ended;
    expect(answers.map(({ infer_response: { id } }) => id)).toEqual(['a', 'b', 'c']);
    expect(answers.map(({ error_message }) => error_message)).toEqual([
      '',
      expect.stringContaining('unknown model'),
      '',
    ]);
  });

  it('a stream reads no more requests than can run', async () => {
    const { client, service } = await servers.grpc();
    const { stream, answers, ended } = open(client);
    for (let at = 0; at < 40; at += 1) stream.write(one('slow', `${at}`));
    stream.end();
    await soon(() => expect(service.waiting).toHaveLength(16));
    await soon(() => {
      for (const { release } of service.waiting) release();
      expect(answers).toHaveLength(40);
    });
    await ended;
  });

  it('a stream that is cancelled has its requests cancelled', async () => {
    const { client, service } = await servers.grpc();
    const { stream, ended } = open(client);
    stream.write(one('slow'));
    stream.write(one('slow'));
    await soon(() => expect(service.waiting).toHaveLength(2));
    stream.cancel();
    await ended.catch(() => {});
    await soon(() => expect(service.waiting.every(({ signal }) => signal?.aborted)).toBe(true));
  });
});

describe('the other methods', () => {
  it('the other methods describe the server and its models', async () => {
    const { client, service } = await servers.grpc();
    expect(await ask(client, 'ServerLive', {})).toEqual({ live: true });
    expect(await ask(client, 'ServerReady', {})).toEqual({ ready: true });
    expect(await ask(client, 'ServerMetadata', {})).toMatchObject({ name: 'farlight', version: '1.2.3' });
    expect(await ask(client, 'ModelReady', { name: 'simple' })).toEqual({ ready: true });
    expect(await ask(client, 'ModelMetadata', { name: 'simple', version: '1' })).toMatchObject({
      name: 'simple',
      versions: ['1'],
      inputs: [{ name: 'INPUT0', datatype: 'INT32', shape: [-1, 16] }, { name: 'INPUT1' }],
    });
    expect(await ask(client, 'ModelConfig', { name: 'simple' })).toMatchObject({
      config: {
        max_batch_size: 8,
        input: [{ data_type: 'TYPE_INT32', dims: [16] }, {}],
        scheduling_choice: 'dynamic_batching',
      },
    });
    await ask(client, 'ModelInfer', sum);
    expect(await ask(client, 'ModelStatistics', { name: 'simple' })).toMatchObject({
      model_stats: [{ inference_count: 1, inference_stats: { success: { count: 1, ns: 1001 } } }],
    });
    await ask(client, 'RepositoryModelUnload', { model_name: 'simple' });
    expect(await ask(client, 'ModelReady', { name: 'simple' })).toEqual({ ready: false });
    await expect(ask(client, 'ModelReady', { name: 'nosuch' })).rejects.toMatchObject({
      code: status.NOT_FOUND,
    });
    const { models }: { models: object[] } = await ask(client, 'RepositoryIndex', {});
    const { models: ready }: { models: object[] } = await ask(client, 'RepositoryIndex', { ready: true });
    expect(ready).toHaveLength(models.length - 1);
    await ask(client, 'RepositoryModelLoad', {
      model_name: 'simple',
      parameters: { config: { string_param: '{"max_batch_size":3}' } },
    });
    expect(service.configuration('simple').maxBatchSize).toBe(3);
  });
});

interface Answer {
  error_message: string;
  infer_response: { id: string };
}

/** A stream, its answers, and a promise of its end. */
function open(client: Client) {
  const call = client as unknown as { ModelStreamInfer(): ClientDuplexStream<object, Answer> };
  const stream = call.ModelStreamInfer();
  const answers: Answer[] = [];
  stream.on('data', (answer: Answer) => answers.push(answer));
  const ended = new Promise<void>((resolve, reject) => {
    stream.once('end', resolve);
    stream.once('error', reject);
  });
  ended.catch(() => {});
  return { stream, answers, ended };
}

describe('TraceSetting', () => {
  it('TraceSetting tells the settings, and takes no others', async () => {
    const { client } = await servers.grpc();
    const off = {
      settings: { trace_level: { value: ['OFF'] }, trace_rate: { value: [] } },
      model_name: 'simple',
    };
    expect(await ask(client, 'TraceSetting', off)).toMatchObject({
      settings: { trace_level: { value: ['OFF'] }, trace_rate: { value: ['1'] } },
    });
    const on = { settings: { trace_level: { value: ['TIMESTAMPS', 'TENSORS'] } } };
    const unsupported = { code: status.UNIMPLEMENTED, details: expect.stringMatching(/traceparent/) };
    await expect(ask(client, 'TraceSetting', on)).rejects.toMatchObject(unsupported);
    const unknown = { model_name: 'nosuch', settings: {} };
    await expect(ask(client, 'TraceSetting', unknown)).rejects.toMatchObject({ code: status.NOT_FOUND });
  });
});

const large = (length: number) => ({
  model_name: 'echo-UINT8',
  inputs: [{ name: 'x', datatype: 'UINT8', shape: [length] }],
  raw_input_contents: [Buffer.alloc(length)],
});

describe('a client that reads nothing while it writes', () => {
  it('a client that reads nothing while it writes gets long answers to long requests', async () => {
    const { port } = await servers.grpc({ limit: 16 << 20 });
    const client = inferenceClient(`127.0.0.1:${port}`, {
      'grpc-node.flow_control_window': 64 << 20,
      'grpc.max_receive_message_length': -1,
    });
    const streams = Array.from({ length: 4 }, () => open(client));
    const request = large(8 << 20);
    for (let at = 0; at < 4; at += 1) for (const { stream } of streams) stream.write(request);
    for (const { stream } of streams) stream.end();
    await Promise.all(streams.map(({ ended }) => ended));
    for (const { answers } of streams) expect(answers).toHaveLength(4);
    client.close();
  });
});

describe('a client that does not read its answer', () => {
  it('a client that does not read its answer has its call ended, and stalls no others', async () => {
    const { client, port } = await servers.grpc({ limit: 8 << 20, unreadMs: 500 });
    const { ModelInfer } = inferenceDefinitions()[SERVICE] as unknown as {
      ModelInfer: { requestSerialize(message: object): Buffer };
    };
    const elements = Buffer.alloc(4 << 20);
    const input = { name: 'x', datatype: 'UINT8', shape: [elements.length] };
    const asked = { model_name: 'echo-UINT8', inputs: [input], raw_input_contents: [elements] };
    const message = ModelInfer.requestSerialize(asked);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    // It lets the server send nothing of an answer but its headers.
    const session = connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 0 } });
    const stream = session.request({
      ':method': 'POST',
      ':path': `/${SERVICE}/ModelInfer`,
      'content-type': 'application/grpc',
    });
    const closed = new Promise((resolve) => stream.once('close', () => resolve(stream.rstCode)));
    stream.on('error', () => {});
    stream.write(head);
    stream.end(message);
    await new Promise((resolve) => stream.once('response', resolve));
    expect(await ask(client, 'ModelInfer', one('echo-INT32'))).toMatchObject({ model_name: 'echo-INT32' });
    expect(await closed).toBe(constants.NGHTTP2_CANCEL);
    session.destroy();
  });

  it('a client with a wide window that stops is disconnected, so that it keeps no end of the server waiting', async () => {
    const { server, port } = await servers.grpc({ limit: 32 << 20, unreadMs: 300 });
    const { ModelInfer } = inferenceDefinitions()[SERVICE] as unknown as {
      ModelInfer: { requestSerialize(message: object): Buffer };
    };
    const message = ModelInfer.requestSerialize(large(32 << 20));
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    const windows = { initialWindowSize: 2 ** 31 - 1 };
    const socket = connectTcp(port, '127.0.0.1');
    const session = connect(`http://127.0.0.1:${port}`, {
      settings: windows,
      createConnection: () => socket,
    });
    session.on('error', () => {});
    session.once('remoteSettings', () => session.setLocalWindowSize(2 ** 31 - 1));
    const stream = session.request({
      ':method': 'POST',
      ':path': `/${SERVICE}/ModelInfer`,
      'content-type': 'application/grpc',
    });
    stream.on('error', () => {});
    stream.write(head);
    stream.end(message);
    await new Promise((resolve) => stream.once('response', resolve));
    // HTTP/2 reads from the handle itself.
    const { _handle: handle } = socket as Socket & { _handle?: { readStop(): void } };
    handle?.readStop();
    await server.close(60_000);
    socket.destroy();
  });

  it('a client that waits for its next answer is not ended', async () => {
    const { client, service } = await servers.grpc({ unreadMs: 100 });
    const { stream, answers, ended } = open(client);
    stream.write(one('echo-INT32'));
    await soon(() => expect(answers).toHaveLength(1));
    stream.write(one('slow'));
    await soon(() => expect(service.waiting).toHaveLength(1));
    await new Promise((resolve) => setTimeout(resolve, 400));
    service.waiting[0]?.release();
    await soon(() => expect(answers).toHaveLength(2));
    stream.end();
    await ended;
  });
});
