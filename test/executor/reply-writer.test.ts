import { describe, expect, it } from 'vitest';
import { readReplies } from '#farlight/client/session/replies.js';
import { OPERATIONS } from '#farlight/proto/gen/operations.js';
import { SPAN, type Span } from '#farlight/proto/session/spans.js';
import { LIMITS } from '#farlight/proto/wire/limits.js';
import { ReplyWriter } from '#farlight/server/executor/wire/reply-writer.js';
import { turn } from '../support/clients/scripted-transport.js';

const { mapAsync } = OPERATIONS.GPUBuffer;
const { onSubmittedWorkDone } = OPERATIONS.GPUQueue;
const long = new Uint8Array((5 << 19) + 4).map((_byte, index) => index ^ (index >> 8));

/** A connection that takes so many frames until it is emptied. */
function link(room: number) {
  const frames: Uint8Array[] = [];
  const writer = new ReplyWriter((frame) => frames.push(frame) < room);
  return { frames, writer };
}

/** What the frames say: serials that settle, and the lengths of parts. */
function read(frames: Uint8Array[]): { said: string[]; bytes: Uint8Array } {
  const said: string[] = [];
  const parts: Uint8Array[] = [];
  for (const frame of frames) {
    expect([frame[0], frame.length <= LIMITS.frameBytes]).toEqual([0, true]);
    readReplies(frame.subarray(1), {
      take: (serial) => ({
        operation: serial === 2 ? mapAsync : onSubmittedWorkDone,
        resolve: () => said.push(`settled ${serial}`),
        refuse: () => expect.unreachable(),
        reject: () => expect.unreachable(),
        part: undefined,
      }),
      part: (serial, bytes) => {
        said.push(`part of ${serial}`);
        parts.push(bytes.slice());
      },
      device: () => undefined,
      missing: () => expect.unreachable(),
      held: () => expect.unreachable(),
      memory: ({ used }) => said.push(`${used} bytes`),
      activity: ({ spans, lost }) => said.push(`${spans.length} spans, ${lost} lost`),
    });
  }
  return { said, bytes: Buffer.concat(parts) };
}

it('a long reply comes in its turn as parts that fit a frame, and then settles', async () => {
  const { frames, writer } = link(Number.POSITIVE_INFINITY);
  writer.fulfilled(1, onSubmittedWorkDone, undefined);
  writer.fulfilled(2, mapAsync, long);
  writer.fulfilled(3, onSubmittedWorkDone, undefined);
  await turn();
  const { said, bytes } = read(frames);
  expect(said).toEqual(['settled 1', 'part of 2', 'part of 2', 'part of 2', 'settled 2', 'settled 3']);
  expect(Buffer.compare(bytes, long)).toBe(0);
});

it('a long reply is written only as fast as the connection takes it, and nothing overtakes it', async () => {
  const { frames, writer } = link(1);
  writer.fulfilled(2, mapAsync, long);
  await turn();
  writer.fulfilled(3, onSubmittedWorkDone, undefined);
  await turn();
  const all: Uint8Array[] = [];
  for (let drains = 0; drains < 5; drains += 1) {
    expect(frames.length).toBeLessThanOrEqual(1);
    all.push(...frames.splice(0));
    writer.drained();
  }
  expect(frames).toEqual([]);
  const { said, bytes } = read(all);
  expect(said).toEqual(['part of 2', 'part of 2', 'part of 2', 'settled 2', 'settled 3']);
  expect(Buffer.compare(bytes, long)).toBe(0);
});

it('a long reply ends when its buffer is unmapped, and later replies still come', async () => {
  const { frames, writer } = link(1);
  const mapped = long.slice();
  writer.fulfilled(2, mapAsync, mapped);
  writer.fulfilled(3, onSubmittedWorkDone, undefined);
  await turn();
  structuredClone(mapped.buffer, { transfer: [mapped.buffer] });
  const all = frames.splice(0);
  writer.drained();
  all.push(...frames);
  expect(read(all).said).toEqual(['part of 2', 'settled 2', 'settled 3']);
});

describe('spans', () => {
  const span = (number: number): Span => {
    return { kind: SPAN.gpu, name: 'n', label: 'l', start: 1.5, end: 2.25, number, bytes: 3 };
  };

  it('leave with the reply that they follow, and by themselves where there is none', async () => {
    const told: boolean[] = [];
    const frames: Uint8Array[] = [];
    const writer = new ReplyWriter((frame, ofActivity) => {
      frames.push(frame);
      told.push(ofActivity);
    });
    writer.fulfilled(1, onSubmittedWorkDone, undefined);
    writer.spans([span(1), span(2)]);
    await turn();
    writer.spans([span(3)]);
    await turn();
    writer.spans([span(4)]);
    writer.fulfilled(3, onSubmittedWorkDone, undefined);
    await turn();
    expect(told).toEqual([false, true, false]);
    expect(read(frames).said).toEqual([
      'settled 1',
      '2 spans, 0 lost',
      '1 spans, 0 lost',
      '1 spans, 0 lost',
      'settled 3',
    ]);
  });

  it('are bounded while they wait for a slow connection, and those left out are counted', async () => {
    const { frames, writer } = link(1);
    writer.fulfilled(1, onSubmittedWorkDone, undefined);
    await turn();
    const many = (first: number) => Array.from({ length: 5000 }, (_, at) => span(first + at));
    writer.spans(many(0));
    await turn();
    writer.spans(many(5000));
    await turn();
    frames.length = 0;
    writer.drained();
    writer.drained();
    writer.spans([span(1)]);
    await turn();
    writer.drained();
    expect(read(frames).said).toEqual(['5000 spans, 0 lost', '1 spans, 5000 lost']);
  });
});
