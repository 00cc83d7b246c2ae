import { describe, expect, it } from 'vitest';
import { CommandEncoder } from '#farlight/client/reuse/command-encoder.js';
import { NamedContents } from '#farlight/client/reuse/named-contents.js';
import { UploadPolicy } from '#farlight/client/reuse/upload-policy.js';
import { emptyStats } from '#farlight/client/session/ledger.js';
import { hashContent } from '#farlight/link/content-hash.js';
import { ContentFilter } from '#farlight/proto/content-filter.js';
import { ProtocolError } from '#farlight/proto/errors.js';
import { BatchAssembler } from '#farlight/proto/wire/batch.js';
import { Handle, ROOT_ID, UNMADE } from '#farlight/proto/wire/handle.js';
import { LIMITS } from '#farlight/proto/wire/limits.js';
import type { AnyOperation } from '#farlight/proto/wire/operation.js';
import { ITEM, ITEM_KINDS, PAYLOAD, PAYLOAD_MODES } from '#farlight/proto/wire/template.js';
import { Writer } from '#farlight/proto/wire/writer.js';
import { CommandDecoder, NamedContent, type Payload } from '#farlight/server/executor/command-decoder.js';

/** A command of no particular interface: numbers, objects and bytes. */
interface Args {
  numbers?: number[];
  objects?: Handle[];
  bytes?: Uint8Array[];
}

const operation = (opcode: number, traits: Partial<AnyOperation> = {}) =>
  ({
    opcode,
    fate: 'command',
    write(w: Writer, { numbers = [], objects = [], bytes = [] }: Args) {
      for (const number of numbers) w.u32(number);
      for (const object of objects) w.handle(object);
      for (const each of bytes) w.bytes(each);
    },
    ...traits,
  }) as AnyOperation;

const USE = operation(1);
const CREATE = operation(2, { creates: 'Thing' });
const WAIT = operation(3, { fate: 'awaited' });

/** What arrives of a command. */
interface Arrived {
  shape: number[];
  operands: number[];
  payloads: string[];
  made: number;
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

const received = (payload: Payload) =>
  payload instanceof NamedContent ? `${payload.length} bytes named ${text(payload.name)}` : text(payload);

/** A client that writes commands, and a host that reads them. */
class Line {
  readonly owner = {};
  readonly root = new Handle(ROOT_ID, this.owner);
  readonly arrived: Arrived[] = [];
  readonly released: number[] = [];
  /** Contents, with their names, that came with a command and by themselves. */
  readonly stored: [string, string][] = [];
  readonly supplied: [string, string][] = [];
  readonly encoder: CommandEncoder;
  readonly #assembler = new BatchAssembler();
  readonly #decoder = new CommandDecoder<{ shape: number[] }>({
    prepare: (shape) => ({ shape: [...shape] }),
    creates: ({ shape }) => shape[0] === CREATE.opcode,
    execute: ({ shape }, operands, payloads, made) =>
      void this.arrived.push({ shape, operands: [...operands], payloads: payloads.map(received), made }),
    store: (name, bytes) => void this.stored.push([text(name), text(bytes)]),
    supply: (name, bytes) => void this.supplied.push([text(name), text(bytes)]),
    release: (first, count) => {
      for (let id = first; id < first + count; id += 1) this.released.push(id);
    },
  });

  constructor(reuse: 'on' | 'off' = 'on') {
    this.encoder = new CommandEncoder(this.owner, reuse);
  }

  create(args: Args = {}): Handle {
    const made = new Handle(UNMADE, this.owner);
    this.encoder.write(CREATE, this.root, args, made);
    return made;
  }

  use(self: Handle, args: Args = {}): void {
    this.encoder.write(USE, self, args);
  }

  wait(): void {
    this.encoder.write(WAIT, this.root, {});
  }

  /** Sends the batch; returns how many bytes it took, the first of each frame included. */
  send(): number {
    let sent = 0;
    for (const frame of this.encoder.take()) {
      sent += frame.length;
      this.receive(frame);
    }
    return sent;
  }

  receive(frame: Uint8Array): void {
    const batch = this.#assembler.push(frame);
    if (batch) this.#decoder.run(batch);
  }
}

/** A batch of nothing but one run, however many commands it names: the frame's kind, and the run. */
const ONE_RUN = 1 + 2;

describe('what repeats', () => {
  it('is sent as one number, with the objects that were made anew each time', () => {
    const line = new Line();
    const pipeline = line.create();
    const step = () => {
      const pass = line.create({ numbers: [7] });
      line.use(pass, { objects: [pipeline] });
      line.use(pass, { numbers: [64, 1, 1] });
      line.wait();
      return line.send();
    };
    const first = step();
    step();
    step();
    expect(step()).toBeLessThanOrEqual(ONE_RUN);
    expect(first).toBeGreaterThan(20);
    const passes = line.arrived.filter(({ shape }) => shape[0] === CREATE.opcode && shape[1] === 7);
    expect(passes.map(({ made }) => made)).toEqual([2, 3, 4, 5]);
    expect(line.arrived.slice(-3).map(({ operands }) => operands)).toEqual([[5, 1], [5], [0]]);
    expect(line.encoder.named).toBe(8);
  });

  it('is found again by each of several stretches that take turns', () => {
    const line = new Line();
    const stretch = (kind: number) => {
      for (let at = 0; at < 10; at += 1) line.use(line.root, { numbers: [kind, at] });
      line.wait();
      return line.send();
    };
    for (const kind of [1, 2, 1, 3, 2, 1, 3, 2]) stretch(kind);
    for (const kind of [3, 1, 2, 2, 1]) expect(stretch(kind)).toBeLessThanOrEqual(ONE_RUN + 4);
  });

  it('keeps the payload that repeats, and sends the one that does not', () => {
    const line = new Line();
    const buffer = line.create();
    const uniform = new Uint8Array(256).fill(1);
    const step = (frame: number) => {
      line.use(buffer, { bytes: [uniform] });
      line.use(buffer, { numbers: [1], bytes: [new Uint8Array(2000).fill(frame)] });
      line.use(buffer, { numbers: [2] });
      line.wait();
      return line.send();
    };
    for (let frame = 0; frame < 3; frame += 1) step(frame);
    expect(step(4)).toBeLessThanOrEqual(2000 + 8);
    expect(line.arrived.at(-3)?.payloads[0]).toBe(text(new Uint8Array(2000).fill(4)));
    expect(line.arrived.at(-4)?.payloads[0]).toBe(text(uniform));
  });

  it('stays known around a small payload that is another each time', () => {
    const line = new Line();
    const buffer = line.create();
    const step = (frame: number) => {
      for (let at = 0; at < 20; at += 1) line.use(buffer, { numbers: [at] });
      line.use(buffer, { bytes: [new Uint8Array(64).fill(frame)] });
      for (let at = 0; at < 20; at += 1) line.use(buffer, { numbers: [at] });
      line.wait();
      return line.send();
    };
    for (let frame = 0; frame < 12; frame += 1) step(frame);
    expect(step(99)).toBeLessThanOrEqual(64 + 10);
  });

  it('is sent as one number where buffers of a pool take turns', () => {
    const line = new Line();
    const pool = Array.from({ length: 6 }, () => line.create());
    const step = () => {
      const a = pool.shift() as Handle;
      const b = pool.shift() as Handle;
      for (let layer = 0; layer < 5; layer += 1) {
        line.use(a, { numbers: [layer], objects: [b] });
        line.use(b, { numbers: [layer], objects: [a] });
      }
      pool.push(a, b);
      line.wait();
      return line.send();
    };
    for (let round = 0; round < 6; round += 1) step();
    const before = line.arrived.length;
    expect(step()).toBeLessThanOrEqual(ONE_RUN);
    const used = new Set(line.arrived.slice(before, -1).flatMap(({ operands }) => operands));
    expect([...used].sort()).toEqual([1, 2]);
  });

  it('is sent in full where reuse is off', () => {
    const line = new Line('off');
    const step = () => {
      for (let at = 0; at < 10; at += 1) line.use(line.root, { numbers: [at] });
      return line.send();
    };
    const first = step();
    expect(step()).toBe(first);
    expect(line.encoder.named).toBe(0);
  });
});

describe('the bytes of a program', () => {
  it('may change after the call: what repeats is what was there then', () => {
    const line = new Line();
    const bytes = new Uint8Array(8).fill(1);
    const step = (value: number) => {
      bytes.fill(value);
      line.use(line.root, { bytes: [bytes] });
      bytes.fill(0xee);
      line.wait();
      line.send();
      return line.arrived.at(-2)?.payloads[0];
    };
    expect([1, 2, 1, 1, 2].map(step)).toEqual([1, 2, 1, 1, 2].map((v) => text(new Uint8Array(8).fill(v))));
  });
});

describe('a payload that is worth a name', () => {
  const big = (fill: number, length = 3000) => new Uint8Array(length).fill(fill);
  const nameOf = (bytes: Uint8Array) => hashContent(bytes);

  /** A line to a host that has these contents already. */
  function lineTo(...held: Uint8Array[]) {
    const line = new Line();
    const stats = emptyStats();
    const filter = ContentFilter.of(held.map(nameOf)).encode();
    let serial = 1;
    const policy = new UploadPolicy({ largestBytes: 1 << 20, leastBytes: 2000 });
    const contents = new NamedContents(
      { filter, largestBytes: 1 << 20 },
      { stats, policy, nextSerial: () => serial, copyBytes: 8000 },
    );
    line.encoder.contents = contents;
    const answer = () => contents.answered(serial++);
    return { line, contents, stats, answer };
  }

  it('comes with its name where the host does not have it, and as its name alone where it does', () => {
    const { line, stats } = lineTo(big(1));
    const buffer = line.create();
    line.use(buffer, { numbers: [0], bytes: [big(1)] });
    line.use(buffer, { numbers: [1], bytes: [big(2)] });
    line.use(buffer, { numbers: [2], bytes: [big(2)] });
    line.use(buffer, { numbers: [3], bytes: [big(3, 1500)] });
    expect(line.send()).toBeLessThan(3000 + 1500 + 200);
    const [one, two] = [big(1), big(2)].map((bytes) => text(nameOf(bytes)));
    expect(line.stored).toEqual([[two, text(big(2))]]);
    expect(line.arrived.slice(1).map(({ payloads }) => payloads)).toEqual([
      [`3000 bytes named ${one}`],
      [text(big(2))],
      [`3000 bytes named ${two}`],
      [text(big(3, 1500))],
    ]);
    expect(stats).toMatchObject({ contentsNamed: 2, bytesNotSent: 6000 });
  });

  it('of a command that repeats may be named each time, whatever was sent the time before', () => {
    const { line, answer } = lineTo(big(1));
    const step = (fill: number) => {
      const buffer = line.create();
      line.use(buffer, { bytes: [big(fill)] });
      line.wait();
      line.send();
      answer();
      return line.arrived.at(-2)?.payloads[0];
    };
    const named = (fill: number) => `3000 bytes named ${text(nameOf(big(fill)))}`;
    expect([1, 2, 2, 1, 3, 3].map(step)).toEqual([
      named(1),
      text(big(2)),
      named(2),
      named(1),
      text(big(3)),
      named(3),
    ]);
  });

  it('can be supplied until the host has answered what came after it, as it was when it was named', () => {
    const { line, contents, stats, answer } = lineTo(big(1), big(2));
    const bytes = big(1);
    line.use(line.create(), { numbers: [0], bytes: [bytes] });
    bytes.fill(9);
    line.send();
    for (const frame of contents.supply(nameOf(big(1)))) line.receive(frame);
    expect(line.supplied).toEqual([[text(nameOf(big(1))), text(big(1))]]);
    expect(stats).toMatchObject({ contentsNamed: 0, bytesNotSent: 0 });
    answer();
    expect(() => contents.supply(nameOf(big(1)))).toThrow(ProtocolError);
    expect(() => contents.supply(nameOf(big(2)))).toThrow(ProtocolError);
  });

  it('is sent once more where there is no room to keep what the host may ask for', () => {
    const held = [1, 2, 3].map((fill) => big(fill));
    const { line, answer } = lineTo(...held);
    const use = (bytes: Uint8Array) => {
      line.use(line.create(), { bytes: [bytes] });
      line.send();
      return line.arrived.at(-1)?.payloads[0];
    };
    const [one, two, three] = held as [Uint8Array, Uint8Array, Uint8Array];
    expect([use(one), use(two)].every((payload) => payload?.includes('named'))).toBe(true);
    expect(use(three)).toBe(text(three));
    answer();
    expect(use(three)).toMatch(/named/);
  });

  it('is no longer named once the host has twice not kept it', () => {
    const { line, contents } = lineTo();
    const use = (fill: number) => {
      line.use(line.create(), { bytes: [big(fill)] });
      line.send();
      return line.arrived.at(-1)?.payloads[0];
    };
    expect(use(1)).toBe(text(big(1)));
    expect(use(1)).toMatch(/named/);
    contents.supply(nameOf(big(1)));
    expect([use(1), use(2)]).toEqual([text(big(1)), text(big(2))]);
    expect(line.stored.length).toBe(1);
  });

  it('is what was there when it was named, also where another thread writes to it', () => {
    const { line } = lineTo();
    const shared = new Uint8Array(new SharedArrayBuffer(3000)).fill(5);
    line.use(line.create(), { bytes: [shared] });
    shared.fill(6);
    line.send();
    expect(line.stored).toEqual([[text(nameOf(big(5))), text(big(5))]]);
  });

  it.each<[string, (w: Writer) => void]>([
    ['a name cut short', (w) => payload(w, 3, 10, new Uint8Array(31))],
    ['a content cut short', (w) => payload(w, 2, 10, new Uint8Array(41))],
    ['a content longer than any', (w) => payload(w, 3, LIMITS.transferBytes + 1, new Uint8Array(32))],
    ['a supply cut short', (w) => supply(w, 10, new Uint8Array(41))],
    [
      'a payload to be kept where nothing is defined',
      (w) => {
        payload(w, 0, 2, new Uint8Array(2));
        w.u64(head(ITEM.jump, 0));
        w.u64(head(ITEM.correct, 0));
        w.u64(2 * PAYLOAD_MODES + PAYLOAD.kept);
        w.append(new Uint8Array(2));
      },
    ],
  ])('is refused as %s', (_what, write) => {
    const line = new Line();
    const w = new Writer();
    write(w);
    expect(() => line.receive(w.take()[0] as Uint8Array)).toThrow(ProtocolError);
  });

  const head = (kind: number, value: number) => value * ITEM_KINDS + kind;

  /** The definition of a command without operands and with one payload. */
  function payload(w: Writer, mode: number, length: number, rest: Uint8Array): void {
    w.u64(head(ITEM.define, 0));
    w.bytes(Uint8Array.of(USE.opcode));
    w.u32(0);
    w.u32(1);
    w.u64(length * PAYLOAD_MODES + mode);
    w.append(rest);
  }

  function supply(w: Writer, length: number, rest: Uint8Array): void {
    w.u64(head(ITEM.content, length));
    w.append(rest);
  }
});

describe('released objects', () => {
  it('are named in runs, whatever the order', () => {
    const line = new Line();
    for (let count = 0; count < 300; count += 1) line.create();
    line.send();
    line.encoder.release(Array.from({ length: 200 }, (_, at) => 250 - at));
    expect(line.send()).toBeLessThanOrEqual(6);
    expect(line.released.sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, at) => 51 + at));
  });
});

describe('a command that cannot be written', () => {
  it('is not sent, and those around it are', () => {
    const line = new Line();
    const good = () => line.use(line.root, { numbers: [1] });
    const fail = operation(9, {
      write(w: Writer) {
        w.u32(5);
        throw new RangeError('too large');
      },
    });
    for (let round = 0; round < 3; round += 1) {
      good();
      expect(() => line.encoder.write(fail, line.root, {}, new Handle(UNMADE, line.owner))).toThrow(/large/);
      expect(line.create().id).toBe(round + 1);
      line.wait();
      line.send();
    }
    expect(line.arrived.map(({ shape }) => shape[0])).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3]);
  });
});

describe('any sequence of commands', () => {
  /** A small linear congruential generator, so that a failure can be repeated. */
  const random = (seed: number) => () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };

  it.each(Array.from({ length: 40 }, (_, seed) => seed))('arrives as it was written (seed %i)', (seed) => {
    const next = random(seed);
    const below = (limit: number) => Math.floor(next() * limit);
    const line = new Line();
    const alive = [line.root, line.create()];
    const sent: Arrived[] = [{ shape: [2], operands: [0], payloads: [], made: 1 }];
    const foreign = new Handle(1, {});
    // Few kinds of everything, so that parts repeat; a loop now and then, as programs have.
    let script: (() => void)[] = [];
    const command = () => {
      const [kind, at, size] = [below(4), below(3), [0, 3, 3, 40, 1500][below(5)] as number];
      const fill = below(3);
      const named = Array.from({ length: below(3) }, () => below(8));
      return () => {
        const objects = named.map((age) => (age === 7 ? foreign : (alive.at(-1 - age) ?? line.root)));
        const bytes = size === 0 ? [] : [new Uint8Array(size).fill(fill)];
        const args = { numbers: [at], objects, bytes };
        const made = kind === 0 ? new Handle(UNMADE, line.owner) : undefined;
        const op = kind === 0 ? CREATE : kind === 1 && below(4) === 0 ? WAIT : USE;
        line.encoder.write(op, line.root, args, made);
        sent.push({
          shape: [op.opcode, at],
          operands: [0, ...objects.map((object) => (object === foreign ? -1 : object.id))],
          payloads: bytes.map(text),
          made: made?.id ?? 0,
        });
        if (made) alive.push(made);
      };
    };
    for (let round = 0; round < 60; round += 1) {
      if (below(6) === 0) script = Array.from({ length: 3 + below(30) }, command);
      for (const act of script) act();
      if (below(3) === 0) script.splice(below(script.length + 1), below(2), command());
      if (alive.length > 20 && below(4) === 0) {
        line.encoder.release(alive.splice(1, 1 + below(10)).map(({ id }) => id));
      }
      if (below(2) === 0) line.send();
    }
    line.send();
    expect(line.arrived).toEqual(sent);
    expect(line.encoder.named).toBeGreaterThan(0);
  });

  it('arrives also where there are more templates than are kept', () => {
    const line = new Line();
    const count = LIMITS.templates + 5000;
    for (let at = 0; at < count; at += 1) {
      line.use(line.root, { numbers: [at] });
      if (at % 10_000 === 0) line.send();
    }
    line.send();
    expect(line.arrived.length).toBe(count);
    expect(line.arrived.at(-1)?.shape).toEqual([1, ...varint(count - 1)]);
  });
});

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return [...bytes, rest];
    bytes.push((rest & 0x7f) | 0x80);
  }
}
