// The time that the inference protocol adds to one request: tensors go to a service that gives them back at once.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { inferenceDefinitions, SERVICE } from '../../dist/infer/grpc/inference-definitions.js';
import { grpc } from '../../dist/link/grpc/grpc.js';
import { figure, printTable } from '../print.mjs';
import { median } from '../workloads/report.mjs';

const PROTOCOL = fileURLToPath(new URL('../../infer/grpc', import.meta.url));
const PYTHON_CLIENT = fileURLToPath(new URL('./protocol-client.py', import.meta.url));
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
  const options = { 'grpc.max_receive_message_length': -1 };
  const client = new Client(urls.grpc, credentials.createInsecure(), options);
  const bareClient = new Client(urls.bareGrpc, credentials.createInsecure(), options);
  const asItIs = (bytes) => bytes;
  const infer = `${urls.http}/v2/models/echo/infer`;
  const [small, large, json] = [binary(SMALL), binary(LARGE), Buffer.from(JSON.stringify(inJson(SMALL)))];
  const unary = (message) =>
    new Promise((resolve, reject) => {
      client.ModelInfer(message, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
  const unaryBytes = (bytes) =>
    new Promise((resolve, reject) => {
      const done = (error, answer) => (error ? reject(error) : resolve(answer));
      bareClient.makeUnaryRequest('/bare/Echo', asItIs, asItIs, bytes, done);
    });
  const [smallMessage, largeMessage] = [raw(SMALL), raw(LARGE)];
  const [smallBytes, largeBytes] = [smallMessage, largeMessage].map((each) => each.raw_input_contents[0]);
  const kinds = {
    'bytes over bare HTTP, 4 KB': [400, () => post(agent, urls.bare, small)],
    'REST binary, 4 KB': [400, () => post(agent, infer, small)],
    'bytes over bare HTTP, of that JSON': [400, () => post(agent, urls.bare, { body: json, headers: {} })],
    'REST JSON, 4 KB': [400, () => post(agent, infer, { body: json, headers: {} })],
    'bytes over bare HTTP, 1.2 MB': [60, () => post(agent, urls.bare, large)],
    'REST binary, 1.2 MB': [60, () => post(agent, infer, large)],
    'bytes over bare gRPC, 4 KB': [400, () => unaryBytes(smallBytes)],
    'gRPC, 4 KB': [400, () => unary(smallMessage)],
    'bytes over bare gRPC, 1.2 MB': [60, () => unaryBytes(largeBytes)],
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
  bareClient.close();
  agent.destroy();
  const measured = Object.fromEntries(Object.entries(times).map(([name, all]) => [name, median(all)]));
  Object.assign(measured, await measurePython(urls.grpc));
  await worker.terminate();
  printTable([['', 'ms'], ...Object.entries(measured).map(([name, ms]) => [name, figure(ms)])]);
  return measured;
}

/**
 * The same by gRPC for Python, which is gRPC's library in C, as most clients have it: against Farlight's server, and
 * against a server of its own. Nothing where it is not installed.
 */
async function measurePython(server) {
  const generated = mkdtempSync(join(tmpdir(), 'farlight-bench-'));
  const run = (...args) =>
    promisify(execFile)('/usr/bin/python3', args, { env: { ...process.env, PYTHONPATH: generated } });
  const outputs = [`--python_out=${generated}`, `--grpc_python_out=${generated}`];
  const measured = {};
  try {
    await run('-m', 'grpc_tools.protoc', `-I${PROTOCOL}`, ...outputs, 'open-inference.proto');
    for (const [name, address] of [
      ['a Python server', 'own'],
      ['Farlight', server],
    ]) {
      const { stdout } = await run(PYTHON_CLIENT, address, `${SMALL}`, `${LARGE}`);
      const [small, large] = JSON.parse(stdout);
      measured[`gRPC for Python, 4 KB, ${name}`] = small;
      measured[`gRPC for Python, 1.2 MB, ${name}`] = large;
    }
  } catch (error) {
    process.stderr.write(
      `gRPC for Python is left out (apt-get install python3-grpcio python3-grpc-tools): ${error.message}\n`,
    );
  } finally {
    rmSync(generated, { recursive: true, force: true });
  }
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
