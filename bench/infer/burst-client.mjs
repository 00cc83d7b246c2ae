// A thread that asks an inference server: each burst comes at its time, whatever the server does.
//
// It shares the machine with the server, and writes HTTP/1.1 by itself: Node's client takes about as long for a request
// as the server does, and each burst would wait for it.
import { connect } from 'node:net';
import { performance } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';

/** How long a request tries to get an answer, in milliseconds: a server with too many connections closes new ones. */
const LONGEST_MS = 300_000;

const { url, bursts, burst, shapes } = workerData;
const { hostname, port, host } = new URL(url);
const messages = Object.fromEntries(
  Object.entries(shapes).map(([model, shape]) => [model, messageOf(model, shape)]),
);
/** Connections without a request; the last used one comes last. */
const idle = [];

const answers = [];
const start = performance.now();
for (const { at, model } of bursts) {
  const left = start + at - performance.now();
  if (left > 0) await setTimeout(left);
  for (let item = 0; item < burst; item += 1) answers.push(latency(model, start + at));
}
// A late client counts as the server's time too: the latency is from when the burst was due.
const results = await Promise.all(answers);
for (const { socket } of idle) socket.destroy();
parentPort.postMessage({
  ms: results.map(({ ms }) => ms),
  failed: results.filter(({ status }) => status !== 200).map(({ status, text }) => `${status}: ${text}`),
  makespan: performance.now() - start,
});

/** A whole request, as it is sent. */
function messageOf(model, shape) {
  const values = Float32Array.from({ length: shape.reduce((product, each) => product * each, 1) }, (_, at) =>
    Math.sin(at),
  );
  const input = {
    name: 'x',
    datatype: 'FP32',
    shape: [1, ...shape],
    parameters: { binary_data_size: values.byteLength },
  };
  const json = Buffer.from(JSON.stringify({ inputs: [input], parameters: { binary_data_output: true } }));
  const head = [
    `POST /v2/models/${model}/infer HTTP/1.1`,
    `host: ${host}`,
    'connection: keep-alive',
    `content-length: ${json.length + values.byteLength}`,
    `inference-header-content-length: ${json.length}`,
  ];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), json, Buffer.from(values.buffer)]);
}

async function latency(model, due) {
  for (;;) {
    const { status, text } = await ask(messages[model]);
    const ms = performance.now() - due;
    if (status !== undefined) return { ms, status, text };
    if (ms > LONGEST_MS) return { ms, status: 0, text: 'its connections ended without an answer' };
    // The server takes few unknown connections at once, and closes idle ones: nobody has read the request then.
    await setTimeout(20);
  }
}

/** Resolves to the status of the answer, and its text where it is an error; without a status where none came. */
function ask(message) {
  return new Promise((resolve) => {
    const connection = idle.pop() ?? open();
    connection.answered = resolve;
    connection.socket.write(message);
  });
}

function open() {
  const socket = connect({ host: hostname, port, noDelay: true });
  const connection = { socket, answered: () => {} };
  let received;
  socket.on('data', (chunk) => {
    received = received ? Buffer.concat([received, chunk]) : chunk;
    const end = received.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = received.latin1Slice(0, end);
    const length = Number(/content-length: (\d+)/i.exec(head)[1]);
    if (received.length < end + 4 + length) return;
    const status = Number(head.slice('HTTP/1.1 '.length, 'HTTP/1.1 200'.length));
    const text = status === 200 ? '' : received.toString('utf8', end + 4);
    received = undefined;
    if (/connection: close/i.test(head)) socket.destroy();
    else idle.push(connection);
    connection.answered({ status, text });
  });
  // `close` follows, and tells the request that waits, if there is one.
  socket.on('error', () => {});
  socket.on('close', () => {
    const at = idle.indexOf(connection);
    if (at >= 0) idle.splice(at, 1);
    connection.answered({});
  });
  return connection;
}
