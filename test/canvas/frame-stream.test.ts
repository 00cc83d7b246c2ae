import { describe, expect, it } from 'vitest';
import { FrameStream, MOST_HELD } from '#farlight/client/canvas/frames/frame-stream.js';

function stream(signal?: AbortSignal) {
  let left = 0;
  const frames = new FrameStream<number>(signal, () => {
    left += 1;
  });
  /** Offers a frame. Tells, when asked, whether it was read, and whether it was taken. */
  const offer = (frame: number | Error) => {
    const offered = { read: false, taken: false };
    frames
      .offer(async () => {
        offered.read = true;
        if (frame instanceof Error) throw frame;
        return frame;
      })
      .then(() => {
        offered.taken = true;
      });
    return offered;
  };
  return { frames, offer, left: () => left };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const done = { done: true, value: undefined };
const value = (frame: number) => ({ done: false, value: frame });

describe('a stream of frames', () => {
  it('gives frames in order, to earlier and later calls of next', async () => {
    const { frames, offer } = stream();
    const asked = [frames.next(), frames.next()];
    for (const frame of [1, 2, 3]) offer(frame);
    expect(await Promise.all([...asked, frames.next()])).toEqual([1, 2, 3].map(value));
  });

  it('lets the program draw on when a frame is taken', async () => {
    const { frames, offer } = stream();
    const [first, second] = [offer(1), offer(2)];
    await turn();
    expect([first.taken, second.taken]).toEqual([false, false]);
    await frames.next();
    expect([first.taken, second.taken]).toEqual([true, false]);
  });

  it('reads no more frames than it may hold', async () => {
    const { frames, offer } = stream();
    const offered = Array.from({ length: MOST_HELD + 2 }, (_, at) => offer(at + 1));
    await turn();
    expect(offered.map(({ read }) => read)).toEqual([true, true, true, true, false, false]);
    expect(offered.at(-1)?.taken).toBe(true);
    await frames.next();
    offer(9);
    const rest = [2, 3, 4, 9].map(() => frames.next());
    expect(await Promise.all(rest)).toEqual([2, 3, 4, 9].map(value));
  });

  it('ends with break: drops its frames and reads no more', async () => {
    const { frames, offer, left } = stream();
    const [first, held] = [offer(1), offer(2)];
    for await (const frame of frames) if (frame === 1) break;
    await turn();
    expect([first.taken, held.taken, left()]).toEqual([true, true, 1]);
    expect(offer(3).read).toBe(false);
    expect(await frames.next()).toEqual(done);
  });

  it('ends with its signal, after the frames that were presented before', async () => {
    const stop = new AbortController();
    const { frames, offer, left } = stream(stop.signal);
    offer(1);
    stop.abort();
    expect(left()).toBe(1);
    expect(offer(2).read).toBe(false);
    expect([await frames.next(), await frames.next()]).toEqual([value(1), done]);

    const waiting = new AbortController();
    const other = stream(waiting.signal);
    const asked = [other.frames.next(), other.frames.next()];
    waiting.abort();
    expect(await Promise.all(asked)).toEqual([done, done]);
    const ended = stream(AbortSignal.abort());
    expect(ended.offer(1).read).toBe(false);
    expect(await ended.frames.next()).toEqual(done);
  });

  it('rejects if a frame cannot be read, and has ended then', async () => {
    const { frames, offer, left } = stream();
    const [broken, held] = [offer(new Error('the device is lost')), offer(2)];
    // Until somebody asks, nobody gets the error, and it is no unhandled rejection.
    await turn();
    await expect(frames.next()).rejects.toThrow('the device is lost');
    await turn();
    expect([broken.taken, held.taken, left()]).toEqual([true, true, 1]);
    expect(await frames.next()).toEqual(done);
  });
});
