import { request } from 'node:http';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { inferenceTrust } from '#farlight/infer/door/trust.js';
import { deferred } from '#farlight/link/machine/deferred.js';
import { TokenStore } from '#farlight/server/trust/token-store.js';
import { Front } from '#farlight/stream/front/front.js';
import type { NewRecord } from '#farlight/stream/log/record-log.js';
import { PostedRecords } from '#farlight/stream/sources/posted-records.js';
import type { Feed } from '#farlight/stream/sources/source.js';
import type { ApplicationView } from '#farlight/stream/statistics/application-view.js';
import { Metrics } from '#farlight/stream/statistics/figures.js';
import { folders } from '../support/trust/trust.js';
import { ObservedApplication } from './support/observed.js';

const closing: Front[] = [];
const sockets: WebSocket[] = [];
const temporary = folders();
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  temporary.remove();
  await Promise.all(closing.splice(0).map((front) => front.close(0)));
});

interface Answer {
  records: { offset: number; isRepeated: boolean }[];
  error: string;
}

/** A front before one source, and the records that its log has taken. */
async function served(
  given: Partial<Feed> = {},
  trust = inferenceTrust({ http: '127.0.0.1:0', grpc: undefined }, () => {}),
) {
  const logged: NewRecord[] = [];
  const feed: Feed = {
    positions: new Map(),
    backlog: () => 0,
    ingest: async (record) => logged.push(record) - 1,
    ...given,
  };
  const types = { x: 'FP32[1,2]', words: 'BYTES[-1]' };
  const source = new PostedRecords('in', types, feed);
  const { observatory } = new ObservedApplication();
  const front = new Front({
    trust,
    observatory,
    metrics: new Metrics(observatory),
    posted: (name) => (name === 'in' ? source : undefined),
    limit: 10_000,
    log: (message) => {
      throw new Error(message);
    },
  });
  closing.push(front);
  await front.listen();
  const post = async (body: unknown, query = 'source=in') => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const answer = await fetch(`${front.url}/v1/records?${query}`, { method: 'POST', body: text });
    return { status: answer.status, body: (await answer.json()) as Answer };
  };
  return { logged, post, front, url: front.url };
}

async function servedWithTokens() {
  const trustFolder = temporary.make();
  const options = { http: '127.0.0.1:0', grpc: undefined, behindProxy: 'gpu.example:443', trustFolder };
  const trust = inferenceTrust(options, () => {});
  const { token } = new TokenStore(join(trustFolder, 'tokens')).add({ tenant: 'alice' });
  const { url } = await served({}, trust);
  return { token, url: `http://127.0.0.1:${new URL(url).port}` };
}

const record = (key: string, more: object = {}) => ({
  key,
  values: { x: [0.5, 1], words: ['a', 'b', 'c'] },
  ...more,
});

describe('records that are posted', () => {
  it('are answered with their offsets once they are logged, one or several at a time', async () => {
    const { logged, post } = await served();
    expect(await post(record('a'))).toEqual({
      status: 200,
      body: { records: [{ offset: 0, isRepeated: false }] },
    });
    const two = await post({ records: [record('a'), record('b')] });
    expect(two.body.records.map(({ offset }) => offset)).toEqual([1, 2]);
    expect(logged.map(({ key }) => key)).toEqual(['a', 'a', 'b']);
    expect(logged[0]?.values.words).toMatchObject({ datatype: 'BYTES', shape: [3] });
    expect(logged[0]?.values.x).toMatchObject({ datatype: 'FP32', shape: [1, 2] });
  });

  it('are taken when they come again where the log did not take them', async () => {
    let isBroken = true;
    const post = new PostedRecords(
      'in',
      { x: 'FP32[1,2]' },
      {
        positions: new Map(),
        backlog: () => 0,
        ingest: async () => {
          if (isBroken) throw new Error('the log cannot be written');
          return 0;
        },
      },
    );
    const body = { records: [5, 6].map((sequence) => ({ key: 'a', values: { x: [1, 2] }, sequence })) };
    await expect(post.take(body)).rejects.toThrow('cannot be written');
    isBroken = false;
    const taken = await post.take(body);
    expect(taken.map(({ isRepeated }) => isRepeated)).toEqual([false, false]);
  });

  it('are taken once where they are numbered, also after a restart', async () => {
    const { logged, post } = await served({ positions: new Map([['a', 5]]) });
    const isRepeated = async (sequence: number, key = 'a') =>
      (await post(record(key, { sequence }))).body.records[0]?.isRepeated;
    expect([await isRepeated(5), await isRepeated(6), await isRepeated(6), await isRepeated(0, 'b')]).toEqual(
      [true, false, true, false],
    );
    expect(logged.map(({ key, position }) => [key, position])).toEqual([
      ['a', 6],
      ['b', 0],
    ]);
  });

  it.each<[string, unknown, string]>([
    ['no JSON', '{', 'the body is not JSON'],
    ['no record', 5, 'a record is an object with "key" and "values"'],
    ['no key', { values: {} }, '"key" must be text'],
    ['a key with a line break', record('a\nb'), '"key" must be text'],
    ['a value that is missing', { key: 'a', values: { x: [1, 2] } }, 'value "words" is missing'],
    ['a value that is not there', { key: 'a', values: { z: 1 } }, 'has no value "z"; it has x, words'],
    ['a value of another shape', { key: 'a', values: { x: [1, 2, 3], words: [] } }, 'has 3 elements'],
    ['a value of another type', { key: 'a', values: { x: ['a', 2], words: [] } }, 'is FP32'],
    ['a number that is none', record('a', { sequence: -1 }), '"sequence" must be a whole number'],
    ['a list that is none', { records: 3 }, '"records" must be a list'],
    ['too many at once', { records: Array(1001).fill(1) }, 'at most 1000 are taken at once'],
  ])('are refused, all of them, with one sentence where there is %s', async (_, body, sentence) => {
    const { logged, post } = await served();
    const answered = await post(body);
    expect(answered.status).toBe(400);
    expect(answered.body.error).toContain(sentence);
    await post({ records: [record('a'), body] });
    expect(logged).toEqual([]);
  });

  it('are refused where there is no such source, and where they are too long', async () => {
    const { post } = await served();
    expect((await post(record('a'), 'source=other')).status).toBe(404);
    expect((await post('x'.repeat(20_000))).status).toBe(413);
  });

  it('are not taken from pages in a browser where no token is asked for', async () => {
    const { url } = await served();
    const answer = await new Promise<number | undefined>((resolve, reject) => {
      const asked = request(`${url}/v1/records?source=in`, {
        method: 'POST',
        headers: { origin: 'http://evil' },
      });
      asked.on('response', (response) => resolve(response.resume().statusCode)).on('error', reject);
      asked.end('{}');
    });
    expect(answer).toBe(403);
  });
});

describe('what an application says of itself', () => {
  it('is all of it where no token is asked for, with the records that were posted', async () => {
    const { url, post } = await served();
    await post({ records: [record('a'), record('b')] });
    await post('{');
    const status = (await (await fetch(`${url}/v1/status`)).json()) as ApplicationView;
    expect(status.all).toMatchObject({ id: 'v1', epoch: 3 });
    expect(status.posted).toMatchObject([{ tenant: 'default', source: 'in', records: 2, refused: 1 }]);
    const text = await (await fetch(`${url}/metrics`)).text();
    expect(text).toContain('farlight_stream_posted_records_total{source="in",outcome="taken"} 2');
  });

  it('keeps the trace of a sender with the record', async () => {
    const { logged, url } = await served();
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const post = (headers: Record<string, string>) =>
      fetch(`${url}/v1/records?source=in`, { method: 'POST', headers, body: JSON.stringify(record('a')) });
    await post({ traceparent });
    await post({ traceparent: 'none' });
    expect(logged.map((each) => each.traceparent)).toEqual([traceparent, undefined]);
  });
});

/** A client that sends records over a WebSocket. */
async function connected(url: string, query = 'source=in', headers: Record<string, string> = {}) {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/records?${query}`, { headers });
  sockets.push(socket);
  const answers: unknown[] = [];
  socket.on('message', (data) => answers.push(JSON.parse(String(data))));
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('close', (code, reason) => resolve({ code, reason: String(reason) }));
  });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const send = (body: unknown) => socket.send(typeof body === 'string' ? body : JSON.stringify(body));
  return { socket, send, answers, closed };
}

describe('records over a WebSocket', () => {
  it('are answered frame by frame, in order, and keep their order in the log', async () => {
    const { logged, url } = await served();
    const { send, answers } = await connected(url);
    for (let at = 0; at < 500; at += 1) send(record(`k${at}`));
    send({ records: [record('x'), record('y')] });
    await expect.poll(() => answers.length).toBe(501);
    expect(answers.at(-1)).toEqual({
      records: [500, 501].map((offset) => ({ offset, isRepeated: false })),
    });
    expect(answers.map((each) => (each as Answer).records[0]?.offset)).toEqual([...Array(501).keys()]);
    expect(logged.slice(0, 500).map(({ key }) => key)).toEqual(
      Array.from({ length: 500 }, (_, at) => `k${at}`),
    );
  });

  it('are not answered before they are in the log', async () => {
    const safe = deferred<number>();
    const { url } = await served({ ingest: () => safe.promise });
    const { send, answers } = await connected(url);
    send(record('a', { sequence: 1 }));
    // The same one again, as after a lost connection.
    const other = await connected(url);
    other.send(record('a', { sequence: 1 }));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([answers, other.answers]).toEqual([[], []]);
    safe.resolve(7);
    await expect.poll(() => answers).toEqual([{ records: [{ offset: 7, isRepeated: false }] }]);
    await expect.poll(() => other.answers).toEqual([{ records: [{ isRepeated: true }] }]);
  });

  it('wait at their sender while many records of the source wait', async () => {
    let backlog = 1000;
    const { logged, url } = await served({ backlog: () => backlog });
    const { socket, send, answers } = await connected(url);
    const long = { ...record('a'), values: { x: [1, 2], words: ['w'.repeat(8000)] } };
    for (let at = 0; at < 2000; at += 1) send(long);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(logged).toEqual([]);
    // 16 MB do not fit into what the server reads, and the system's buffers.
    expect(socket.bufferedAmount).toBeGreaterThan(1 << 20);
    backlog = 0;
    await expect.poll(() => answers.length, { timeout: 10_000 }).toBe(2000);
    expect(socket.bufferedAmount).toBe(0);
  });

  it.each<[string, string | Buffer, number, string]>([
    ['no JSON', '{', 1008, 'the frame is not JSON'],
    ['no record', '5', 1008, 'a record is an object with "key" and "values"'],
    ['bytes', Buffer.from([1, 2]), 1008, 'a frame of records is JSON, as text'],
    ['a frame that is too long', 'x'.repeat(20_000), 1009, ''],
  ])('end their connection alone where a frame is %s, after those before it', async (_, frame, code, why) => {
    const { logged, url } = await served();
    const [wrong, right] = [await connected(url), await connected(url)];
    wrong.send(record('a'));
    wrong.socket.send(frame);
    wrong.send(record('b'));
    expect(await wrong.closed).toEqual({ code, reason: expect.stringContaining(why) });
    if (why !== '') {
      expect(wrong.answers[0]).toEqual({ records: [{ offset: 0, isRepeated: false }] });
      expect(wrong.answers[1]).toEqual({ error: expect.stringContaining(why) });
    }
    right.send(record('c'));
    await expect.poll(() => right.answers.length).toBe(1);
    expect(logged.map(({ key }) => key)).toEqual(expect.not.arrayContaining(['b']));
  });

  it('need a token where the server asks for one, a source, and no page', async () => {
    const { url } = await served();
    await expect(connected(url, 'source=other')).rejects.toThrow('404');
    await expect(connected(url, 'source=in', { origin: 'http://evil' })).rejects.toThrow('403');
    const { token, url: guarded } = await servedWithTokens();
    await expect(connected(guarded)).rejects.toThrow('401');
    const { send, answers } = await connected(guarded, 'source=in', { authorization: `Bearer ${token}` });
    send(record('a'));
    await expect.poll(() => answers.length).toBe(1);
  });

  it('are ended when the application ends, so that their sender goes elsewhere', async () => {
    const { url, front } = await served();
    const { closed } = await connected(url);
    await front.close(1000);
    expect(await closed).toEqual({ code: 1001, reason: 'the application ends' });
  });
});
