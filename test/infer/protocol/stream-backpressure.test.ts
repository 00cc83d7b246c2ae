import { Duplex } from 'node:stream';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { type CallsOptions, inferenceCalls } from '#farlight/infer/grpc/inference-calls.js';

/** A stream of requests whose client reads no answer until `readAnswers` is called. */
class FakeCall extends Duplex {
  readonly metadata = { get: () => [] };
  readonly cancelled = false;
  readonly answers: unknown[] = [];
  #taken: (() => void) | undefined;
  #reads = false;
  /** Requests that the server has not read. */
  left: number;

  constructor(requests: number) {
    super({ objectMode: true });
    this.left = requests;
  }

  override _read(): void {
    this.left -= 1;
    const request = { model: 'm', inputs: [], outputs: [], parameters: {} };
    this.push(this.left < 0 ? null : { request, bytes: 0, id: '' });
  }

  override _write(answer: unknown, _: unknown, taken: () => void): void {
    this.answers.push(answer);
    if (this.#reads) setImmediate(taken);
    else this.#taken = taken;
  }

  getDeadline(): number {
    return Number.POSITIVE_INFINITY;
  }

  readAnswers(): void {
    this.#reads = true;
    this.#taken?.();
  }
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

it('a client that reads no answers of a gRPC stream leaves one listener on its call, and gets all answers later', async () => {
  const call = new FakeCall(100);
  const waiting: (() => void)[] = [];
  const calls = inferenceCalls({
    service: {
      async infer() {
        await new Promise<void>((resolve) => waiting.push(resolve));
        return { model: 'm', version: '1', outputs: [] };
      },
    },
    clientNow: () => ({ tenant: 'default' }),
    quotas: { begin: () => ({ take() {}, end() {} }), shareOf: () => 1 },
    observer: { begin: () => ({ asked() {}, done() {}, failed() {}, end() {} }) },
    onAnswer() {},
    onError(error: unknown) {
      throw error;
    },
  } as unknown as CallsOptions);
  const ended = new Promise((resolve) => call.on('finish', resolve));

  (calls.ModelStreamInfer as (call: ServerDuplexStream<unknown, unknown>) => void)(call as never);
  // One result at a time, so that the others are under way when the call is full.
  for (let turn = 0; turn < 100; turn += 1) {
    await nextTurn();
    waiting.shift()?.();
  }

  expect(call.left).toBeGreaterThan(0);
  expect(call.listenerCount('drain')).toBe(1);
  const results = setInterval(() => waiting.shift()?.(), 0);
  call.readAnswers();
  await ended;
  clearInterval(results);
  expect(call.answers).toHaveLength(100);
});
