// A thread that stands between an engine and the API server of its cluster. It records what they say to each other, or
// stands in for the server and gives the recorded answers, as long as the engine says the same in the same order.
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { parentPort, workerData } from 'node:worker_threads';
import { gunzipSync, gzipSync } from 'node:zlib';

/** `upstream`: the server whose answers are recorded. `names`: pairs of a name of this run and the file's name for it. */
const { file, upstream, names } = workerData;
const neutral = (text) => names.reduce((all, [here, there]) => all.replaceAll(here, there), text);
const own = (text) => names.reduce((all, [here, there]) => all.replaceAll(there, here), text);

/** Each text once; the turns name them by number. */
const { texts, turns } = upstream
  ? { texts: [], turns: [] }
  : JSON.parse(gunzipSync(readFileSync(file)).toString());
const numbers = new Map(texts.map((text, number) => [text, number]));
let next = 0;

function numberOf(text) {
  if (!numbers.has(text)) numbers.set(text, texts.push(text) - 1);
  return numbers.get(text);
}

/** Bookkeeping of the server that nobody reads. */
function short(text) {
  try {
    return JSON.stringify(JSON.parse(text), (name, value) => (name === 'managedFields' ? undefined : value));
  } catch {
    return text;
  }
}

async function textOf(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}

async function recorded(method, path, body) {
  const { hostname, port } = new URL(upstream);
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const answer = await new Promise((resolve, reject) => {
    const call = request({ hostname, port, method, path, headers, agent: false }, resolve);
    call.on('error', reject);
    call.end(body);
  });
  const type = answer.headers['content-type'] ?? '';
  const text = short(await textOf(answer));
  turns.push([
    method,
    neutral(path),
    numberOf(neutral(short(body))),
    answer.statusCode,
    type,
    numberOf(neutral(text)),
  ]);
  return { status: answer.statusCode, type, text };
}

function replayed(method, path, body) {
  const [asMethod, asPath, asBody, status, type, answer] = turns[next] ?? [];
  const said = [method, neutral(path), neutral(short(body))];
  const expected = [asMethod, asPath, texts[asBody]];
  if (said.some((part, at) => part !== expected[at])) {
    const message = `in turn ${next} of the conversation: ${said.join(' ')}\n  and not: ${expected.join(' ')}`;
    return { status: 501, type: 'application/json', text: JSON.stringify({ message }) };
  }
  next += 1;
  return { status, type, text: own(texts[answer]) };
}

const server = createServer(async (call, answer) => {
  const body = await textOf(call);
  const { status, type, text } = await (upstream ? recorded : replayed)(call.method, call.url, body);
  answer.writeHead(status, { 'content-type': type });
  answer.end(text);
});
server.listen(0, '127.0.0.1', () => parentPort.postMessage({ port: server.address().port }));
parentPort.on('message', () => {
  if (upstream) writeFileSync(file, gzipSync(JSON.stringify({ texts, turns }), { level: 9 }));
  parentPort.postMessage({ left: upstream ? 0 : turns.length - next });
});
