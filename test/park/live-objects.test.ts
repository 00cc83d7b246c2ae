import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FlushAssembler } from '#farlight/proto/wire/flush.js';
import type { AnyOperation } from '#farlight/proto/wire/operation.js';
import { ITEM, ITEM_KINDS } from '#farlight/proto/wire/template.js';
import { Writer } from '#farlight/proto/wire/writer.js';
import {
  isOpen,
  keptOf,
  LiveObjects,
  type LoggedCommand,
  type Named,
} from '#farlight/server/executor/live/live-objects.js';
import { CommandDecoder } from '#farlight/server/executor/wire/command-decoder.js';

let opcodes = 0;
const command = (name: string, member: string, creates?: string): LoggedCommand => ({
  operation: { interface: name, member, creates, opcode: opcodes++ } as AnyOperation,
  shape: new Uint8Array(1),
});

const CREATE = command('GPUDevice', 'createThing', 'GPUThing');
const DESTROY = command('GPUBuffer', 'destroy');
const ENCODER = command('GPUDevice', 'createCommandEncoder', 'GPUCommandEncoder');
const PASS = command('GPUCommandEncoder', 'beginComputePass', 'GPUComputePassEncoder');
const END = command('GPUComputePassEncoder', 'end');
const FINISH = command('GPUCommandEncoder', 'finish', 'GPUCommandBuffer');
const SUBMIT = command('GPUQueue', 'submit');
const BUNDLE_ENCODER = command('GPUDevice', 'createRenderBundleEncoder', 'GPURenderBundleEncoder');
const DRAW = command('GPURenderBundleEncoder', 'setBindGroup');
const BUNDLE = command('GPURenderBundleEncoder', 'finish', 'GPURenderBundle');
const QUERIES = command('GPUDevice', 'createQuerySet', 'GPUQuerySet');

/** The notes of a session, with its table of objects. */
class Notes {
  readonly live: LiveObjects<LoggedCommand>;
  readonly #table = new Map<number, Named>();

  constructor(mostBytes?: number) {
    const table = this.#table;
    const entries = { [Symbol.iterator]: () => table.values() };
    this.live = new LiveObjects({ entries }, mostBytes);
  }

  get ids(): number[] {
    return this.live.entries().map(({ id }) => id);
  }

  /** The numbers of the encoders, passes and command buffers that are not used up. */
  get open(): number[] {
    return [...this.#table.values()].filter(isOpen).map(({ id }) => id);
  }

  note(of: LoggedCommand, operands: number[], payloads: Uint8Array[], made: number): void {
    const named = (id: number) => this.#table.get(id);
    const parts = operands.map((id) => {
      const found = named(id);
      return found ? this.live.partOf(found) : id;
    });
    const meaning = this.live.meaningOf(of.operation);
    const entry = made > 0 ? this.named(made) : undefined;
    const self = this.named(operands[0] as number);
    if (meaning === 'create') this.live.created(of, parts, payloads, entry as Named);
    else if (meaning === 'record') this.live.recorded(of, parts, payloads);
    else if (meaning !== 'nothing') this.live.changed(meaning, self, entry, operands, named);
  }

  release(id: number): void {
    this.live.release(this.named(id));
    this.#table.delete(id);
  }

  named(id: number): Named {
    const named = this.#table.get(id) ?? { id, object: {} };
    this.#table.set(id, named);
    return named;
  }
}

describe('the notes of a session that may be parked', () => {
  it('hold exactly the named objects and their parts, each after its parts, whatever the order of creates and releases', () => {
    const step = fc.record({
      kind: fc.constantFrom('create', 'create', 'release', 'destroy'),
      picks: fc.array(fc.nat(), { maxLength: 4 }),
      payload: fc.uint8Array({ maxLength: 40 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const live = new Notes();
        const parts = new Map<number, number[]>();
        const named: number[] = [];
        let next = 1;
        for (const { kind, picks, payload } of steps) {
          const pick = (at: number) => named[at % named.length] as number;
          if (kind === 'create') {
            const operands = [0, ...(named.length > 0 ? picks.map(pick) : []), -1];
            live.note(CREATE, operands, [payload], next);
            parts.set(next, operands);
            named.push(next++);
          } else if (named.length > 0 && kind === 'release') {
            const [id] = named.splice((picks[0] ?? 0) % named.length, 1) as [number];
            live.release(id);
          } else if (named.length > 0) {
            live.note(DESTROY, [pick(picks[0] ?? 0)], [], 0);
          }
        }
        const expected = new Set<number>();
        const add = (id: number) => {
          if (id <= 0 || expected.has(id)) return;
          expected.add(id);
          for (const part of parts.get(id) ?? []) add(part);
        };
        for (const id of named) add(id);
        expect(live.ids).toEqual([...expected].sort((a, b) => a - b));
        for (const { id, operands, isNamed } of live.live.entries()) {
          expect(operands.every((part) => part < id)).toBe(true);
          expect(isNamed).toBe(named.includes(id));
        }
        for (const id of named) live.release(id);
        expect(live.live.entries()).toEqual([]);
        expect(live.live.bytes).toBe(0);
      }),
    );
  });

  it('are the same after another process has taken them over', () => {
    const live = new Notes();
    for (let id = 1; id <= 4; id += 1) live.note(CREATE, [id - 1], [new Uint8Array(id)], id);
    live.note(DESTROY, [2], [], 0);
    live.release(3);
    const other = new Notes();
    const kept = live.live.entries().map(keptOf);
    other.live.restore(kept, (id) => other.named(id));
    for (const { id, isNamed } of kept) if (!isNamed) other.release(id);
    expect(other.live.entries().map(keptOf)).toEqual(kept);
    expect(other.live.bytes).toBe(live.live.bytes);
    for (const of of [live, other]) {
      of.release(4);
      expect(of.ids).toEqual([1, 2]);
    }
  });

  it('know each encoder, pass and command buffer that is not used up', () => {
    const live = new Notes();
    live.note(ENCODER, [1], [], 2);
    live.note(PASS, [2], [], 3);
    expect(live.open).toEqual([2, 3]);
    live.note(END, [3], [], 0);
    expect(live.open).toEqual([2]);
    live.note(FINISH, [2], [], 4);
    expect(live.open).toEqual([4]);
    live.note(SUBMIT, [9, 4], [], 0);
    expect(live.open).toEqual([]);
    live.note(ENCODER, [1], [], 5);
    live.release(5);
    expect(live.open).toEqual([]);
  });

  it('keep the commands of a render bundle for as long as the bundle is there', () => {
    const live = new Notes();
    live.note(CREATE, [0], [], 1);
    live.note(BUNDLE_ENCODER, [0], [], 2);
    live.note(DRAW, [2, 1], [], 0);
    live.note(BUNDLE, [2], [], 3);
    live.note(DRAW, [2, 1], [], 0);
    live.release(1);
    live.release(2);
    expect(live.ids).toEqual([1, 2, 3]);
    expect(
      live.live
        .entries()
        .map(keptOf)[1]
        ?.recorded.map(({ operands }) => operands),
    ).toEqual([[2, 1]]);
    live.release(3);
    expect(live.ids).toEqual([]);
    expect(live.live.bytes).toBe(0);
  });

  it('know that a bundle of an encoder that was finished before is invalid', () => {
    const live = new Notes();
    live.note(BUNDLE_ENCODER, [0], [], 1);
    live.note(BUNDLE, [1], [], 2);
    live.note(BUNDLE, [1], [], 3);
    expect(live.live.entries().map(({ isValid }) => isValid)).toEqual([undefined, undefined, false]);
  });

  it('know which query sets a pass was given', () => {
    const live = new Notes();
    live.note(QUERIES, [0], [], 1);
    live.note(QUERIES, [0], [], 2);
    live.note(ENCODER, [0], [], 3);
    live.note(PASS, [3, 2], [], 4);
    expect(live.live.entries().map(({ isWritten }) => isWritten)).toEqual([false, true]);
  });

  it('end, and say so, where they would take more memory than they may', () => {
    const live = new Notes(10_000);
    for (let id = 1; id <= 100; id += 1) live.note(CREATE, [0], [new Uint8Array(100)], id);
    expect(live.live.isOver).toBe(true);
    expect(live.live.bytes).toBe(0);
  });

  it('do not end where most objects are gone, however many there were', () => {
    const live = new Notes(10_000);
    for (let id = 1; id <= 1000; id += 1) {
      live.note(CREATE, [id - 1], [new Uint8Array(100)], id);
      if (id > 10) live.release(id);
    }
    expect(live.live.isOver).toBe(false);
    expect(live.ids).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('hold nothing of the flush that a command came in', () => {
    const writer = new Writer();
    writer.u64(ITEM.once + 0 * ITEM_KINDS);
    writer.bytes(Uint8Array.of(9, 9));
    writer.u32(0);
    writer.u32(0);
    const flush = new FlushAssembler().push(writer.take()[0] as Uint8Array) as Uint8Array;
    const shapes: Uint8Array[] = [];
    const decoder = new CommandDecoder({
      decode: (shape) => shapes.push(shape),
      creates: () => false,
      execute: () => {},
      release: () => {},
      store: () => {},
      supply: () => {},
    });
    decoder.run(flush);
    expect(shapes.map(({ buffer }) => buffer.byteLength)).toEqual([2]);
  });

  it('forget an awaited create that has failed', () => {
    const live = new Notes();
    live.note(CREATE, [0], [], 1);
    live.release(1);
    expect(live.ids).toEqual([]);
  });
});
