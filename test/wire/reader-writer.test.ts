import { describe, expect, it, vi } from 'vitest';
import { ProtocolError } from '#farlight/proto/errors.js';
import { CommandWriter } from '#farlight/proto/wire/command-writer.js';
import { FOREIGN_ID, Handle } from '#farlight/proto/wire/handle.js';
import { LIMITS } from '#farlight/proto/wire/limits.js';
import { Reader, readRecord, readSequence } from '#farlight/proto/wire/reader.js';
import { Writer } from '#farlight/proto/wire/writer.js';

/** The content of a flush that fits one frame. */
const content = (w: Writer) => w.take()[0]?.subarray(1) ?? new Uint8Array(0);

function roundTrip<T>(write: (w: Writer) => void, read: (r: Reader) => T): T {
  const w = new Writer();
  write(w);
  const r = new Reader(content(w));
  const value = read(r);
  expect(r.done).toBe(true);
  return value;
}

describe('a frame for which there is no memory', () => {
  it('a frame without memory leaves the frames before it unchanged', () => {
    const frameBytes = 128 << 10;
    const w = new Writer({ frameBytes, initialCapacity: frameBytes });
    const full = new Uint8Array(frameBytes - 1).fill(1);
    w.append(full);
    const alloc = vi.spyOn(Buffer, 'allocUnsafeSlow').mockImplementation(() => {
      throw new RangeError('Array buffer allocation failed');
    });
    expect(() => w.append(Uint8Array.of(2))).toThrow(RangeError);
    w.truncate(full.length);
    alloc.mockRestore();
    w.append(Uint8Array.of(3));
    const frames = w.take().map((frame) => frame.subarray(1));
    expect(frames.map(({ length }) => length)).toEqual([full.length, 1]);
    expect([frames[0]?.every((byte) => byte === 1), frames[1]?.[0]]).toEqual([true, 3]);
  });
});

describe('integers', () => {
  it.each([0, 1, 127, 128, 16383, 16384, 2 ** 31, 2 ** 32 - 1])('u32 %d comes back', (value) => {
    expect(
      roundTrip(
        (w) => w.u32(value),
        (r) => r.u32(),
      ),
    ).toBe(value);
  });

  it.each([0, 127, 128, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 3, 2 ** 49, 2 ** 53 - 1])(
    'u64 %d comes back',
    (value) => {
      expect(
        roundTrip(
          (w) => w.u64(value),
          (r) => r.u64(),
        ),
      ).toBe(value);
    },
  );

  it.each([0, -1, 1, 63, -64, 2 ** 31 - 1, -(2 ** 31)])('i32 %d comes back', (value) => {
    expect(
      roundTrip(
        (w) => w.i32(value),
        (r) => r.i32(),
      ),
    ).toBe(value);
  });

  it('an integer over 2^53 - 1 is refused', () => {
    expect(() => new Reader(new Uint8Array([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f])).u64()).toThrow(
      ProtocolError,
    );
  });

  it('an integer padded without end is refused', () => {
    const padded = new Uint8Array(32).fill(0x80);
    expect(() => new Reader(padded).u64()).toThrow(ProtocolError);
  });

  it('a u32 over 32 bits is refused', () => {
    const w = new Writer();
    w.u64(2 ** 32);
    expect(() => new Reader(content(w)).u32()).toThrow(ProtocolError);
  });
});

describe('strings and bytes', () => {
  it.each(['', 'a', 'é'.repeat(41), 'x'.repeat(42), '\u{1f600}'.repeat(50), '\ufeffbom'])(
    'a string comes back: %j',
    (text) => {
      expect(
        roundTrip(
          (w) => w.string(text),
          (r) => r.string(),
        ),
      ).toBe(text);
    },
  );

  it('invalid UTF-8 is refused', () => {
    expect(() => new Reader(new Uint8Array([3, 0xc3, 0x28])).string()).toThrow(ProtocolError);
  });

  it('bytes are copied when they are written, so the program may reuse its array', () => {
    const w = new Writer();
    const source = new Uint8Array([1, 2, 3]);
    w.bytes(source);
    source.fill(9);
    expect([...new Reader(content(w)).bytes()]).toEqual([1, 2, 3]);
  });

  it('bytes from shared memory arrive in ordinary memory', () => {
    const w = new Writer();
    w.bytes(new Uint8Array(new SharedArrayBuffer(4)).fill(5));
    const bytes = new Reader(content(w)).bytes();
    expect(bytes.buffer).toBeInstanceOf(ArrayBuffer);
    expect([...bytes]).toEqual([5, 5, 5, 5]);
  });

  it('bytes read from a Node Buffer are no Buffer, whose slice would be a view', () => {
    const bytes = new Reader(Buffer.from([2, 7, 8])).bytes();
    expect(Buffer.isBuffer(bytes)).toBe(false);
  });

  it('a length beyond the end is refused before anything is allocated', () => {
    const w = new Writer();
    w.u64(LIMITS.transferBytes - 1);
    expect(() => new Reader(content(w)).bytes()).toThrow(ProtocolError);
  });

  it('strings and bytes beyond the limit of a command are refused before any is copied', () => {
    // As long as the real thing, without its memory.
    const bytes = Object.defineProperty(new Uint8Array(0), 'byteLength', { value: LIMITS.transferBytes + 1 });
    expect(() => new Writer().bytes(bytes)).toThrow(/in parts/);
  });

  it('a string over the limit is refused', () => {
    const w = new Writer();
    w.u64(LIMITS.stringBytes + 2);
    expect(() => new Reader(content(w)).string()).toThrow(/limit/);
  });

  it('a large write grows the buffer without losing what was there', () => {
    const w = new Writer({ initialCapacity: 8 });
    w.u8(42);
    w.bytes(new Uint8Array(100_000).fill(7));
    w.u8(43);
    const r = new Reader(content(w));
    expect([r.u8(), r.bytes().every((byte) => byte === 7), r.u8()]).toEqual([42, true, 43]);
  });
});

describe('hostile input', () => {
  it.each(['u8', 'u32', 'u64', 'f32', 'f64', 'string', 'bytes'] as const)(
    '%s at the end of a frame is refused',
    (method) => {
      expect(() => new Reader(new Uint8Array(0))[method]()).toThrow(ProtocolError);
    },
  );

  it('a boolean is 0 or 1', () => {
    expect(() => new Reader(new Uint8Array([2])).bool()).toThrow(ProtocolError);
  });

  it('a count that the frame cannot hold is refused before the loop', () => {
    const w = new Writer();
    w.u32(1000);
    w.u8(1);
    expect(() => readSequence(new Reader(content(w)), () => 0)).toThrow(ProtocolError);
  });

  it('a count over the limit is refused', () => {
    const w = new Writer();
    w.u32(LIMITS.elements + 1);
    expect(() => new Reader(content(w)).count()).toThrow(/limit/);
  });

  it('an index outside its table is refused', () => {
    expect(() => new Reader(new Uint8Array([3])).index(3)).toThrow(ProtocolError);
  });

  it('a handle is refused by a reader without objects', () => {
    expect(() => new Reader(new Uint8Array([1, 1])).handle('GPUBuffer')).toThrow(ProtocolError);
  });

  it('a record key named __proto__ is a key like any other', () => {
    const record = roundTrip(
      (w) => {
        w.u32(1);
        w.string('__proto__');
        w.u8(7);
      },
      (r) => readRecord(r, () => r.u8()),
    );
    expect(Object.keys(record)).toEqual(['__proto__']);
    expect(Object.getPrototypeOf(record)).toBe(null);
  });
});

describe('a command', () => {
  const mine = {};

  it('a command writes the object of another session as a foreign one', () => {
    const w = new CommandWriter(mine);
    w.handle(new Handle(5, mine));
    w.handle(new Handle(5, {}));
    expect(w.operands).toEqual([5, FOREIGN_ID]);
  });

  it('a command has its operands, bytes and long strings outside its shape', () => {
    const w = new CommandWriter(mine);
    const long = 'long '.repeat(1000);
    w.u8(1);
    w.handle(new Handle(5, mine));
    w.string('short');
    w.string(long);
    w.bytes(new Uint8Array(3));
    expect(w.length).toBe(1 + 6 + 1);
    const [text, bytes] = w.payloads;
    const r = new Reader<number>(w.content, {
      object: () => w.operands[0] as number,
      bytes: () => bytes as Uint8Array,
      string: () => new TextDecoder().decode(text),
    });
    expect([r.u8(), r.handle('GPUBuffer'), r.string(), r.string(), r.bytes(), r.done]).toEqual([
      1,
      5,
      'short',
      long,
      new Uint8Array(3),
      true,
    ]);
  });

  it('a command equals another one with the same shape and other operands', () => {
    const w = new CommandWriter(mine);
    w.u32(300);
    w.handle(new Handle(5, mine));
    const shape = w.content.slice();
    w.clear();
    w.u32(300);
    w.handle(new Handle(6, mine));
    expect(w.equals(shape)).toBe(true);
    w.u8(0);
    expect(w.equals(shape)).toBe(false);
    w.clear();
    w.u32(301);
    expect(w.equals(shape)).toBe(false);
  });

  it('only a command may have a long string as a payload', () => {
    expect(() => new Reader(new Uint8Array([0])).string()).toThrow(ProtocolError);
  });
});

describe('the frames of a flush', () => {
  it.each([1, 9, 500, 510, 511, 512, 5000])(
    'frames of %d bytes stay unchanged during later writes',
    (length) => {
      const w = new Writer({ initialCapacity: 64 });
      w.append(new Uint8Array(length).fill(7));
      const [frame] = w.take();
      w.append(new Uint8Array(length).fill(9));
      w.take();
      expect(frame).toEqual(new Uint8Array(length + 1).fill(7).fill(0, 0, 1));
    },
  );

  it('the frames of a flush have no bytes of the earlier flush', () => {
    const w = new Writer();
    w.append(new Uint8Array(400).fill(7));
    w.take();
    w.f64(1);
    expect(w.length).toBe(8);
    expect(new Reader(content(w)).f64()).toBe(1);
  });

  it('short frames take no more memory than needed', () => {
    const w = new Writer();
    w.u8(1);
    expect(w.take()[0]?.buffer.byteLength).toBe(2);
  });
});
