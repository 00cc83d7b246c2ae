// One end of a line, on a pair of streams and with alarms that the test rings.
import { duplexPair } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HEADER_BYTES, Line } from '#farlight/server/executor/lines/line.js';

/** Rings the alarms that were set for so many milliseconds. */
function alarms() {
  const set: { ms: number; ring: () => void }[] = [];
  return {
    after: (ms: number, ring: () => void) => {
      const one = { ms, ring };
      set.push(one);
      return { cancel: () => void set.splice(set.indexOf(one), 1) };
    },
    ring: (ms: number) => {
      for (const one of set.filter((each) => each.ms === ms)) one.ring();
    },
  };
}

/** Two ends of a connection. As with sockets, one that is destroyed ends the other. */
function connection() {
  const [here, there] = duplexPair();
  here.once('close', () => there.destroy());
  there.once('close', () => here.destroy());
  return [here, there] as const;
}

function pair(after?: ReturnType<typeof alarms>['after']) {
  const [here, there] = connection();
  const [a, b] = [new Line(after), new Line(after)];
  a.open(here);
  b.open(there);
  return { a, b, here, there };
}

const bytesOf = (size: number, seed = 0) =>
  Uint8Array.from({ length: size }, (_, at) => (at * 7 + seed) % 251);
const sent = (line: Line, bytes: Uint8Array) => line.send(bytes.length, Promise.resolve(bytes));
/** Resolves to the range when it has come. */
async function received(line: Line, size: number, timeoutMs = 1000): Promise<Uint8Array> {
  const range = new Uint8Array(size);
  await line.receive(size, (at, bytes) => range.set(bytes, at), timeoutMs);
  return range;
}

test('ranges arrive whole and in order, whatever their sizes', async () => {
  const sizes = fc.array(
    fc.integer({ min: 1, max: 40_000 }).map((words) => words * 4),
    { maxLength: 8 },
  );
  await fc.assert(
    fc.asyncProperty(sizes, async (all) => {
      const { a, b } = pair();
      const sending = all.map((size, at) => sent(a, bytesOf(size, at)));
      for (const [at, size] of all.entries())
        expect(Buffer.compare(await received(b, size), bytesOf(size, at))).toBe(0);
      await Promise.all(sending);
      const total = all.reduce((sum, size) => sum + size + HEADER_BYTES, 0);
      expect([a.sent, b.received]).toEqual([total, total]);
    }),
    { numRuns: 20 },
  );
});

test('both ends send at the same time', async () => {
  const { a, b } = pair();
  const both = [sent(a, bytesOf(1 << 20, 1)), sent(b, bytesOf(1 << 20, 2))];
  const [atA, atB] = await Promise.all([received(a, 1 << 20), received(b, 1 << 20)]);
  expect([Buffer.compare(atA, bytesOf(1 << 20, 2)), Buffer.compare(atB, bytesOf(1 << 20, 1))]).toEqual([
    0, 0,
  ]);
  await Promise.all(both);
});

test('a range that is here already is received at once', async () => {
  const { a, b } = pair();
  await sent(a, bytesOf(16));
  await new Promise(setImmediate);
  expect(b.receive(16, () => undefined, 1000)).toBeUndefined();
});

test('what is sent before the line is open leaves when it is', async () => {
  const [here, there] = connection();
  const [a, b] = [new Line(), new Line()];
  const early = sent(a, bytesOf(8));
  const waiting = received(b, 8);
  a.open(here);
  b.open(there);
  await early;
  expect(await waiting).toEqual(bytesOf(8));
});

test('a range of another size closes the line at both ends', async () => {
  const { a, b } = pair();
  await sent(a, bytesOf(8));
  await expect(received(b, 12)).rejects.toThrow(
    'a range of 12 bytes is received, and one of 8 bytes was sent',
  );
  await expect(received(a, 4)).rejects.toThrow('the host or the session at its other end is gone');
});

test('a range that does not come in time closes the line', async () => {
  const { after, ring } = alarms();
  const { a, b } = pair(after);
  const waiting = received(b, 8, 250);
  ring(250);
  await expect(waiting).rejects.toThrow('nothing came within 0.25 seconds');
  await expect(sent(b, bytesOf(8))).rejects.toThrow('nothing came within 0.25 seconds');
  await expect(received(a, 8)).rejects.toThrow('gone');
});

test('a range that came in time sets no alarm off', async () => {
  const { after, ring } = alarms();
  const { a, b } = pair(after);
  const waiting = received(b, 8, 250);
  await sent(a, bytesOf(8));
  await waiting;
  ring(250);
  expect(b.closed).toBeUndefined();
});

test('an end that takes nothing closes the line', async () => {
  const { after, ring } = alarms();
  const { a } = pair(after);
  const stuck = sent(a, bytesOf(4 << 20));
  await new Promise(setImmediate);
  ring(120_000);
  await expect(stuck).rejects.toThrow('its other end has taken nothing for 120 seconds');
});

test('a closed line sends the rest first', async () => {
  const { a, b } = pair();
  void sent(a, bytesOf(1 << 20));
  void a.close();
  expect(Buffer.compare(await received(b, 1 << 20), bytesOf(1 << 20))).toBe(0);
  await expect(received(b, 4)).rejects.toThrow('gone');
});

test('the part of a range is no range', async () => {
  const { a, b, here } = pair();
  const header = Buffer.alloc(4);
  header.writeUInt32LE(1000);
  here.end(Buffer.concat([header, Buffer.alloc(999)]));
  await expect(received(b, 1000)).rejects.toThrow('gone');
  expect(a.closed).toBeDefined();
});

test('any bytes of another end close the line or are a range', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), async (bytes) => {
      const { b, here } = pair();
      here.end(bytes);
      const writes: number[] = [];
      const waiting = b.receive(8, (at, part) => writes.push(at, part.length), 1000);
      const isRange = bytes.length >= 12 && Buffer.from(bytes).readUInt32LE() === 8;
      if (isRange) await waiting;
      else await expect(waiting).rejects.toThrow();
      expect(writes).toEqual(isRange ? [0, 8] : []);
    }),
  );
});

test('a failed copy on the GPU closes the line', async () => {
  const { a, b } = pair();
  const failing = a.send(8, Promise.reject(new Error('lost')));
  await expect(failing).rejects.toThrow('lost');
  await expect(received(b, 8)).rejects.toThrow('gone');
});

test('a copy that fails behind ranges which wait rejects at once', async () => {
  const line = new Line();
  const waiting = sent(line, bytesOf(8));
  await expect(line.send(8, Promise.reject(new Error('lost')))).rejects.toThrow('lost');
  await expect(waiting).rejects.toThrow('could not be read');
});
