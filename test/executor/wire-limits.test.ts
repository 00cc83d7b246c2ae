import { describe, expect, it } from 'vitest';
import { ProtocolError } from '#farlight/proto/errors.js';
import { LIMITS } from '#farlight/proto/wire/limits.js';
import { ITEM, ITEM_KINDS, PAYLOAD, PAYLOAD_MODES } from '#farlight/proto/wire/template.js';
import { Writer } from '#farlight/proto/wire/writer.js';
import { ObjectTable } from '#farlight/server/executor/objects/object-table.js';
import { CommandDecoder } from '#farlight/server/executor/wire/command-decoder.js';

// The other limits are tested with the code that keeps them: frames, windows, flushes, strings, sequences, transfers and
// held commands.

/** A decoder whose commands do nothing, and the number of commands that ran. */
function decoder({ creates = false } = {}) {
  const done = { commands: 0 };
  const commands = new CommandDecoder<null>({
    decode: () => null,
    creates: () => creates,
    execute: () => {
      done.commands += 1;
    },
    release: () => {},
    store: () => {},
    supply: () => {},
  });
  return { commands, done };
}

/** The bytes of one flush. */
function flush(write: (w: Writer) => void): Uint8Array {
  const w = new Writer({ frameBytes: 64 << 20 });
  write(w);
  const frames = w.take();
  expect(frames.length).toBe(1);
  return (frames[0] as Uint8Array).subarray(1);
}

const head = (kind: number, value: number) => value * ITEM_KINDS + kind;

/** A command that becomes a template, which keeps the command's payload if it has one. */
function define(w: Writer, shape: Uint8Array, kept?: Uint8Array): void {
  w.u64(head(ITEM.define, 0));
  w.bytes(shape);
  w.u32(0);
  w.u32(kept ? 1 : 0);
  if (!kept) return;
  w.u64(kept.length * PAYLOAD_MODES + PAYLOAD.kept);
  w.append(kept);
}

describe('the executor refuses', () => {
  it('a flush with more commands than the limit, before the commands beyond it run', () => {
    const { commands, done } = decoder();
    commands.run(flush((w) => define(w, Uint8Array.of(1))));
    expect(() => commands.run(flush((w) => w.u64(head(ITEM.follow, LIMITS.flushCommands + 1))))).toThrow(
      /a flush has more than/,
    );
    expect(done.commands).toBe(1);
  });

  it('a command with more operands than the limit, or more payloads', () => {
    for (const [operands, payloads] of [
      [LIMITS.operands + 1, 0],
      [0, LIMITS.operands + 1],
    ] as const) {
      const bytes = flush((w) => {
        w.u64(head(ITEM.once, 0));
        w.bytes(Uint8Array.of(1));
        w.u32(operands);
        for (let operand = 0; operand < operands; operand++) w.u64(0);
        w.u32(payloads);
        for (let payload = 0; payload < payloads; payload++) w.u64(0);
      });
      const { commands, done } = decoder();
      expect(() => commands.run(bytes)).toThrow(/operands are over the limit/);
      expect(done.commands).toBe(0);
    }
  });

  it('refuses one template more than the limit', () => {
    const { commands, done } = decoder();
    const most = flush((w) => {
      for (let count = 0; count < LIMITS.templates; count++) define(w, Uint8Array.of(1));
    });
    commands.run(most);
    expect(done.commands).toBe(LIMITS.templates);
    expect(() => commands.run(flush((w) => define(w, Uint8Array.of(1))))).toThrow(/more templates/);
  });

  it('templates that keep more bytes than the limit, whether shapes or payloads', () => {
    const quarter = new Uint8Array(LIMITS.templateBytes / 4);
    for (const write of [
      (w: Writer) => define(w, quarter),
      (w: Writer) => define(w, Uint8Array.of(1), quarter),
    ]) {
      const { commands } = decoder();
      for (let count = 0; count < 3; count++) commands.run(flush(write));
      commands.run(flush((w) => define(w, Uint8Array.of(1), quarter.subarray(100))));
      expect(() => commands.run(flush(write))).toThrow(ProtocolError);
      expect(() => commands.run(flush(write))).toThrow(/more templates/);
    }
  });

  it('refuses more objects than the limit if templates expect others for them', () => {
    const { commands, done } = decoder({ creates: true });
    const operands = LIMITS.operands;
    /** Makes as many new objects as the command names, and repeats the command with them. */
    const again = (round: number) =>
      flush((w) => {
        for (const [template, times] of [
          [0, 1],
          [0, operands + 99],
        ] as const) {
          w.u64(head(ITEM.jump, template));
          w.u64(head(ITEM.follow, times));
        }
        w.u64(head(ITEM.jump, 1));
        w.u64(head(ITEM.correct, operands));
        for (let operand = 0; operand < operands; operand++) {
          w.u32(operand === 0 ? 0 : 1);
          w.u64(100 + (round % 2) + operand);
        }
      });
    commands.run(
      flush((w) => {
        define(w, Uint8Array.of(1));
        w.u64(head(ITEM.jump, 0));
        w.u64(head(ITEM.follow, operands + 200));
        w.u64(head(ITEM.define, 0));
        w.bytes(Uint8Array.of(2));
        w.u32(operands);
        for (let operand = 0; operand < operands; operand++) w.u64(101 + operand);
        w.u32(0);
      }),
    );
    const rounds = LIMITS.renames / operands;
    for (let round = 0; round < rounds; round++) commands.run(again(round));
    const { commands: before } = done;
    expect(() => commands.run(again(rounds))).toThrow(/expected objects with others in their place/);
    expect(done.commands).toBeLessThan(before + operands + 200);
  });

  it('refuses one object more than the limit, and accepts it when another is released', () => {
    const objects = new ObjectTable(() => ({}));
    for (let id = 1; id <= LIMITS.objects; id++) objects.reserve(id, 'GPUBuffer', undefined);
    expect(() => objects.reserve(LIMITS.objects + 1, 'GPUBuffer', undefined)).toThrow(ProtocolError);
    objects.release(1);
    expect(objects.reserve(LIMITS.objects + 2, 'GPUBuffer', undefined).id).toBe(LIMITS.objects + 2);
  }, 120_000);
});
