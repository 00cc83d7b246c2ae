// The time that the inference protocol adds to one request: tensors go to a service that gives them back at once.
import { Agent, request } from 'node:http';
import { performance } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import { inferenceDefinitions, SERVICE } from '../../dist/infer/grpc/inference-definitions.js';
import { grpc } from '../../dist/link/grpc/grpc.js';
import { figure, printTable } from '../print.mjs';
import { median } from '../workloads/report.mjs';

const SMALL = 1024;
const LARGE = 300_000;
const ROUNDS = 5;

/** @returns milliseconds by name: the median of all requests, of which each round has some of each kind. */
export async function measureProtocol() {
  const worker = new Worker(new URL('./protocol-server.mjs', import.meta.url));
  const urls = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const { makeGenericClientConstructor, credentials } = grpc();
  const Client = makeGenericClientConstructor(inferenceDefinitions()[SERVICE], SERVICE);
  const client = new Client(urls.grpc, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
  });
  const infer = `${urls.http}/v2/models/echo/infer`;
  const [small, large, json] = [binary(SMALL), binary(LARGE), Buffer.from(JSON.stringify(inJson(SMALL)))];
  const unary = (message) =>
    new Promise((resolve, reject) => {
      client.ModelInfer(message, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
  const [smallMessage, largeMessage] = [raw(SMALL), raw(LARGE)];
  const kinds = {
    'bytes over bare HTTP, 4 KB': [400, () => post(agent, urls.bare, small)],
    'REST binary, 4 KB': [400, () => post(agent, infer, small)],
    'bytes over bare HTTP, of that JSON': [400, () => post(agent, urls.bare, { body: json, headers: {} })],
    'REST JSON, 4 KB': [400, () => post(agent, infer, { body: json, headers: {} })],
    'bytes over bare HTTP, 1.2 MB': [60, () => post(agent, urls.bare, large)],
    'REST binary, 1.2 MB': [60, () => post(agent, infer, large)],
    'gRPC, 4 KB': [400, () => unary(smallMessage)],
    'gRPC, 1.2 MB': [60, () => unary(largeMessage)],
  };
  const times = Object.fromEntries(Object.keys(kinds).map((name) => [name, []]));
  // The first round warms up. Turns, so that all see the same noise.
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [name, [count, act]] of Object.entries(kinds)) {
      for (let at = 0; at < count; at += 1) {
        const begun = performance.now();
        await act();
        if (round > 0) times[name].push(performance.now() - begun);
      }
    }
  }
  client.close();
  agent.destroy();
  await worker.terminate();
  const measured = Object.fromEntries(Object.entries(times).map(([name, all]) => [name, median(all)]));
  printTable([['', 'ms'], ...Object.entries(measured).map(([name, ms]) => [name, figure(ms)])]);
  return measured;
}

const floats = (count) => Float32Array.from({ length: count }, (_, at) => Math.sin(at));

function inJson(count) {
  return { inputs: [{ name: 'x', datatype: 'FP32', shape: [count], data: [...floats(count)] }] };
}

function binary(count) {
  const input = { name: 'x', datatype: 'FP32', shape: [count], parameters: { binary_data_size: count * 4 } };
  const head = Buffer.from(JSON.stringify({ inputs: [input], parameters: { binary_data_output: true } }));
  const headers = { 'inference-header-content-length': head.length };
  return { body: Buffer.concat([head, Buffer.from(floats(count).buffer)]), headers };
}

function raw(count) {
  return {
    model_name: 'echo',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [count] }],
    raw_input_contents: [Buffer.from(floats(count).buffer)],
  };
}

function post(agent, url, { body, headers }) {
  return new Promise((resolve, reject) => {
    const options = { method: 'POST', agent, headers: { 'content-length': body.length, ...headers } };
    const asked = request(url, options, (response) => {
      response.on('data', () => {});
      response.once('end', () =>
        response.statusCode === 200 ? resolve() : reject(new Error(`status ${response.statusCode}`)),
      );
    });
    asked.once('error', reject);
    asked.end(body);
  });
}
