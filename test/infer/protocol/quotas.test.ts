import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { ServiceError } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { Quotas } from '#farlight/infer/door/quotas.js';
import { SharedBudget } from '#farlight/infer/service/shared-budget.js';
import { grpc } from '#farlight/link/grpc/grpc.js';
import { ask, serving, soon, trusted } from './served.js';

const servers = serving();
afterEach(() => servers.close());

const slow = {
  model_name: 'slow',
  inputs: [{ name: 'x', datatype: 'INT32', shape: [1], contents: { int_contents: [7] } }],
};
const slowJson = JSON.stringify({ inputs: [{ name: 'x', datatype: 'INT32', shape: [1], data: [7] }] });

describe('the quota of a tenant', () => {
  it("a quota bounds its tenant's requests, and no other tenant's", () => {
    const quotas = new Quotas({ waiting: 2 });
    const first = quotas.begin('a');
    quotas.begin('a');
    expect(() => quotas.begin('a')).toThrow(
      expect.objectContaining({
        code: 'quota',
        retryAfter: 1,
        message: expect.stringMatching(/2 requests .*--max-waiting/),
      }),
    );
    quotas.begin('b');
    first.end();
    first.end();
    quotas.begin('a');
    expect(() => quotas.begin('a')).toThrow(/2 requests/);
  });

  it("a quota bounds the bytes of its tenant's requests", () => {
    const quotas = new Quotas({ inFlight: 100 });
    const first = quotas.begin('a');
    first.take(60);
    const second = quotas.begin('a');
    expect(() => second.take(41)).toThrow(/100 bytes .*--in-flight/);
    second.take(40);
    first.end();
    // It has ended: bytes that still come count for nobody.
    first.take(100);
    second.take(60);
  });

  it('a request that is longer than its tenant may ever have is told so, and not to come again', () => {
    const quotas = new Quotas({ inFlight: 100 });
    const request = quotas.begin('a');
    request.take(60);
    expect(() => request.take(41)).toThrow(
      expect.objectContaining({
        code: 'too-large',
        retryAfter: undefined,
        message: expect.stringMatching(/longer than the 100 bytes .*--in-flight/),
      }),
    );
  });

  it('a tenant with a limit in its token has a quota of its own', () => {
    const quotas = new Quotas({ waiting: 1 }, (tenant) =>
      tenant === 'a' ? { waiting: 2, gpuShare: 3 } : {},
    );
    quotas.begin('a');
    quotas.begin('a');
    quotas.begin('b');
    expect(() => quotas.begin('b')).toThrow(/1 requests/);
    expect([quotas.shareOf('a'), quotas.shareOf('b')]).toEqual([3, 1]);
  });
});

describe('a budget that tenants share', () => {
  it('a shared budget has room for another tenant, however much one of them takes', () => {
    const budget = new SharedBudget(1000);
    let taken = 0;
    while (budget.take('a', 1)) taken += 1;
    expect(taken).toBe(900);
    expect(budget.take('b', 80)).toBe(true);
    expect(budget.take('c', 15)).toBe(true);
    expect(budget.take('d', 6)).toBe(false);
    budget.add('a', -900);
    expect(budget.take('d', 800)).toBe(true);
    expect(budget.taken).toBe(895);
  });
});

describe('a request beyond the quota', () => {
  it('a request beyond the quota gets 429 over REST, and the next is served when one has ended', async () => {
    const { url, service } = await servers.http({ quotas: new Quotas({ waiting: 1 }) });
    const infer = () => fetch(`${url}/v2/models/slow/infer`, { method: 'POST', body: slowJson });
    const first = infer();
    await soon(() => expect(service.waiting).toHaveLength(1));
    const refused = await infer();
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
    expect(await refused.json()).toEqual({
      error: expect.stringMatching(/^the tenant default may have 1 requests/),
    });
    service.waiting[0]?.release();
    expect((await first).status).toBe(200);
    await soon(async () => {
      const next = infer();
      await soon(() => expect(service.waiting.length).toBeGreaterThan(1));
      service.waiting.at(-1)?.release();
      expect((await next).status).toBe(200);
    });
  });

  it('a request that is too long for its quota gets 413 over REST while its body still comes', async () => {
    const { url } = await servers.http({ quotas: new Quotas({ inFlight: 4096 }) });
    const answer = await fetch(`${url}/v2/models/slow/infer`, { method: 'POST', body: 'x'.repeat(100_000) });
    expect(answer.status).toBe(413);
    expect(await answer.json()).toEqual({ error: expect.stringMatching(/4096 bytes of requests/) });
  });

  it('a client that has gone before it was known leaves no request in its quota', async () => {
    let lookedUp!: Promise<unknown>;
    let isFirst = true;
    const known = trusted();
    const users = Object.assign(Object.create(known.users), {
      async of(socket: Socket) {
        if (isFirst) {
          isFirst = false;
          lookedUp = once(socket, 'close');
          await lookedUp;
        }
        return known.users.of(socket);
      },
      admits: () => true,
    });
    const { url, port } = await servers.http({
      quotas: new Quotas({ waiting: 1 }),
      trust: { ...known, users, admit: () => ({ tenant: 'a', mayLoad: false }) },
    });
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    socket.write(
      `POST /v2/models/slow/infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${slowJson.length}\r\n\r\n${slowJson}`,
    );
    await soon(() => expect(lookedUp).toBeDefined());
    socket.destroy();
    await lookedUp;
    const asked = fetch(`${url}/v2/models/echo-INT32/infer`, { method: 'POST', body: slowJson });
    expect((await asked).status).toBe(200);
  });

  it('a request beyond the quota gets RESOURCE_EXHAUSTED over gRPC, with the time to ask again', async () => {
    const { client, service } = await servers.grpc({ quotas: new Quotas({ waiting: 1 }) });
    const first = ask(client, 'ModelInfer', slow);
    await soon(() => expect(service.waiting).toHaveLength(1));
    const error: ServiceError = await ask(client, 'ModelInfer', slow).catch((refused) => refused);
    expect(error.code).toBe(grpc().status.RESOURCE_EXHAUSTED);
    expect(error.details).toMatch(/may have 1 requests .*--max-waiting/);
    expect(error.metadata.get('grpc-retry-pushback-ms')).toEqual(['1000']);
    service.waiting[0]?.release();
    await first;
  });
});
