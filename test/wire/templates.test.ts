import { afterEach, describe, expect, it, vi } from 'vitest';
import { Handle, UNMADE } from '#farlight/proto/wire/handle.js';
import { LIMITS } from '#farlight/proto/wire/limits.js';
import { Expectations } from '#farlight/proto/wire/template.js';
import type { Writer } from '#farlight/proto/wire/writer.js';
import {
  type Arrived,
  CREATE,
  Line,
  operation,
  text,
  USE,
  WAIT,
} from '../support/random/encoder-to-decoder.js';
import { seeded } from '../support/random/seeded.js';

/** A flush of nothing but one run, however many commands it names: the frame's kind, and the run. */
const ONE_RUN = 1 + 2;

describe('a repetition', () => {
  it('a repetition is sent as one number, even with new objects each time', () => {
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

  it('a repetition is recognised in each of several sequences that take turns', () => {
    const line = new Line();
    const stretch = (kind: number) => {
      for (let at = 0; at < 10; at += 1) line.use(line.root, { numbers: [kind, at] });
      line.wait();
      return line.send();
    };
    for (const kind of [1, 2, 1, 3, 2, 1, 3, 2]) stretch(kind);
    for (const kind of [3, 1, 2, 2, 1]) expect(stretch(kind)).toBeLessThanOrEqual(ONE_RUN + 4);
  });

  it('a repetition sends only the payloads that change', () => {
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

  it('a repetition is recognised around a small payload that changes each time', () => {
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

  it('a repetition is sent as one number if the buffers of a pool take turns', () => {
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

  it('a repetition is sent in full if reuse is off', () => {
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
  it("a program's bytes may change after the call: templates keep the bytes at the call", () => {
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

describe('released objects', () => {
  it('released objects are sent as runs, in any order', () => {
    const line = new Line();
    for (let count = 0; count < 300; count += 1) line.create();
    line.send();
    line.encoder.release(Array.from({ length: 200 }, (_, at) => 250 - at));
    expect(line.send()).toBeLessThanOrEqual(6);
    expect(line.released.sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, at) => 51 + at));
  });
});

describe('the objects that replace others in templates', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('replacements in templates are bounded on both sides if each step uses new objects and releases the earlier ones', () => {
    const most = new Map<ReadonlyMap<number, number>, number>();
    const { observe } = Expectations.prototype;
    vi.spyOn(Expectations.prototype, 'observe').mockImplementation(function (this: Expectations, ...args) {
      observe.apply(this, args);
      const renames = args[3];
      most.set(renames, Math.max(most.get(renames) ?? 0, renames.size));
    });
    const line = new Line();
    const things = 4096;
    let before: Handle[] = [];
    for (let frame = 0; frame < 20; frame += 1) {
      line.encoder.release(before.map(({ id }) => id));
      before = Array.from({ length: things }, () => line.create());
      // These make the ages of the objects differ from step to step.
      const others = Array.from({ length: 100 + 7 * frame }, () => line.create());
      for (const [at, thing] of before.entries()) line.use(thing, { numbers: [at] });
      line.wait();
      line.send();
      line.encoder.release(others.map(({ id }) => id));
    }
    const used = line.arrived.slice(-1 - things, -1).map(({ operands }) => operands[0]);
    expect(used).toEqual(before.map(({ id }) => id));
    const sizes = [...most.values()];
    expect(sizes.length).toBe(2);
    expect(sizes[0]).toBe(sizes[1]);
    expect(sizes[0]).toBeGreaterThan(things);
    expect(sizes[0]).toBeLessThanOrEqual(2 ** 16 + 1);
  });
});

describe('a command that cannot be written', () => {
  it('a command that cannot be written is not sent, and the commands around it are', () => {
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

describe('without memory', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it.each([
    ['a release', (line: Line, object: Handle) => line.encoder.release([object.id])],
    ['a command', (line: Line, object: Handle) => line.use(object, { numbers: [5] })],
  ])('%s is not added and can be added later, and the commands around it are unchanged', (what, add) => {
    const line = new Line();
    const [gone, other] = [line.create(), line.create()];
    const step = () => {
      line.use(gone, { numbers: [1] });
      line.use(other, { numbers: [2] });
      // The next item needs more memory than the flush has.
      line.use(other, { bytes: [new Uint8Array(40 << 10)] });
      line.wait();
      expect(line.encoder.length).toBeGreaterThan(40 << 10);
    };
    for (let round = 0; round < 3; round += 1) {
      step();
      line.send();
    }
    step();
    vi.spyOn(Buffer, 'allocUnsafeSlow').mockImplementation(() => {
      throw new RangeError('Array buffer allocation failed');
    });
    expect(() => add(line, gone)).toThrow(RangeError);
    vi.restoreAllMocks();
    add(line, gone);
    for (let round = 0; round < 3; round += 1) {
      line.use(other, { numbers: [2] });
      line.wait();
    }
    line.send();
    const before = Array.from({ length: 4 }, () => [1, 2, 2, 0]).flat();
    const added = what === 'a command' ? [1] : [];
    const arrived = line.arrived.slice(2).map(({ operands }) => operands[0]);
    expect(arrived).toEqual([...before, ...added, 2, 0, 2, 0, 2, 0]);
    expect(line.released).toEqual(what === 'a release' ? [1] : []);
  });
});

describe('any sequence of commands', () => {
  it.each(Array.from({ length: 40 }, (_, seed) => seed))(
    'any sequence of commands arrives as it was written (seed %i)',
    (seed) => {
      const next = seeded(seed);
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
        if (below(5) === 0) line.moveHost();
      }
      line.send();
      expect(line.arrived).toEqual(sent);
      expect(line.encoder.named).toBeGreaterThan(0);
    },
  );

  it('a sequence of commands arrives even with more templates than are kept', () => {
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
