// A thread that asks an inference server: each burst comes at its time, whatever the server does.
import { Agent, request } from 'node:http';
import { performance } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';

const { url, bursts, burst, shapes } = workerData;
const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
const bodies = Object.fromEntries(Object.entries(shapes).map(([model, shape]) => [model, bodyOf(shape)]));

const answers = [];
const start = performance.now();
for (const { at, model } of bursts) {
  const left = start + at - performance.now();
  if (left > 0) await setTimeout(left);
  for (let item = 0; item < burst; item += 1) answers.push(latency(model, start + at));
}
// A late client counts as the server's time too: the latency is from when the burst was due.
const results = await Promise.all(answers);
agent.destroy();
parentPort.postMessage({
  ms: results.map(({ ms }) => ms),
  failed: results.filter(({ status }) => status !== 200).map(({ status, text }) => `${status}: ${text}`),
  makespan: performance.now() - start,
});

function bodyOf(shape) {
  const values = Float32Array.from({ length: shape.reduce((product, each) => product * each, 1) }, (_, at) =>
    Math.sin(at),
  );
  const input = {
    name: 'x',
    datatype: 'FP32',
    shape: [1, ...shape],
    parameters: { binary_data_size: values.byteLength },
  };
  const head = Buffer.from(JSON.stringify({ inputs: [input], parameters: { binary_data_output: true } }));
  return { head: head.length, bytes: Buffer.concat([head, Buffer.from(values.buffer)]) };
}

function latency(model, due) {
  const { head, bytes } = bodies[model];
  return new Promise((resolve) => {
    const headers = { 'content-length': bytes.length, 'inference-header-content-length': head };
    const asked = request(
      `${url}/v2/models/${model}/infer`,
      { method: 'POST', agent, headers },
      (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.once('end', () => {
          const status = response.statusCode;
          const text = status === 200 ? '' : Buffer.concat(chunks).toString();
          resolve({ ms: performance.now() - due, status, text });
        });
      },
    );
    asked.once('error', (error) => {
      // The server takes few unknown connections at once, and closes idle ones: nobody has read the request then.
      if (error.code === 'ECONNRESET') setTimeout(20).then(() => resolve(latency(model, due)));
      else resolve({ ms: performance.now() - due, status: 0, text: error.message });
    });
    asked.end(bytes);
  });
}
