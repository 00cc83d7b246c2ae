import { request } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { inferenceTrust } from '#farlight/infer/door/trust.js';
import { Front } from '#farlight/stream/front/front.js';
import type { NewRecord } from '#farlight/stream/log/record-log.js';
import { PostedRecords } from '#farlight/stream/sources/posted-records.js';
import type { Feed } from '#farlight/stream/sources/source.js';
import type { ApplicationView } from '#farlight/stream/statistics/application-view.js';
import { Metrics } from '#farlight/stream/statistics/figures.js';
import { ObservedApplication } from './support/observed.js';

const closing: Front[] = [];
afterEach(async () => {
  await Promise.all(closing.splice(0).map((front) => front.close(0)));
});

interface Answer {
  records: { offset: number; isRepeated: boolean }[];
  error: string;
}

/** A front before one source, and the records that its log has taken. */
async function served(positions: ReadonlyMap<string, unknown> = new Map()) {
  const logged: NewRecord[] = [];
  const feed: Feed = { positions, backlog: () => 0, ingest: async (record) => logged.push(record) - 1 };
  const types = { x: 'FP32[1,2]', words: 'BYTES[-1]' };
  const source = new PostedRecords('in', types, feed);
  const { observatory } = new ObservedApplication();
  const front = new Front({
    trust: inferenceTrust({ http: '127.0.0.1:0', grpc: undefined }, () => {}),
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
  return { logged, post, url: front.url };
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

  it('are taken once where they are numbered, also after a restart', async () => {
    const { logged, post } = await served(new Map([['a', 5]]));
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
