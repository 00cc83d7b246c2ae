import { expect, it } from 'vitest';
import { windowIn } from '#farlight/infer/grpc/first-window.js';

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** The first bytes of a client with these settings. */
function first(...settings: (readonly [id: number, value: number])[]): Buffer {
  const frame = Buffer.alloc(9 + 6 * settings.length);
  frame.writeUIntBE(6 * settings.length, 0, 3);
  frame[3] = 4;
  for (const [at, [id, value]] of settings.entries()) {
    frame.writeUInt16BE(id, 9 + 6 * at);
    frame.writeUInt32BE(value, 11 + 6 * at);
  }
  return Buffer.concat([preface, frame]);
}

it('a window is the one that the settings name, or the one of HTTP/2', () => {
  expect(windowIn(first())).toBe(65_535);
  expect(windowIn(first([2, 0], [3, 100]))).toBe(65_535);
  expect(windowIn(first([2, 0], [4, 1 << 20], [5, 1 << 24]))).toBe(1 << 20);
  expect(windowIn(Buffer.concat([first([4, 70_000]), Buffer.alloc(13)]))).toBe(70_000);
});

it('a window that is not known yet counts as infinite', () => {
  const whole = first([4, 1 << 20]);
  for (let length = 0; length < whole.length; length += 1)
    expect(windowIn(whole.subarray(0, length))).toBe(Number.POSITIVE_INFINITY);
  expect(windowIn(Buffer.from('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'))).toBe(Number.POSITIVE_INFINITY);
});
