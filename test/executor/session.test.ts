import { beforeEach, describe, expect, it } from 'vitest';
import { CommandEncoder } from '#farlight/client/reuse/command-encoder.js';
import { COMMANDS, OPERATIONS } from '#farlight/proto/gen/operations.js';
import { ALL_SPANS, SPAN, spanMask } from '#farlight/proto/session/spans.js';
import { Handle, ROOT_ID, UNMADE } from '#farlight/proto/wire/handle.js';
import type { AnyOperation } from '#farlight/proto/wire/operation.js';
import { Reader } from '#farlight/proto/wire/reader.js';
import { REPLY } from '#farlight/proto/wire/reply.js';
import { readSpanReport } from '#farlight/proto/wire/span-report.js';
import { ITEM, ITEM_KINDS } from '#farlight/proto/wire/template.js';
import { Writer } from '#farlight/proto/wire/writer.js';
import { ExecutorSession } from '#farlight/server/executor/session.js';
import { turn } from '../support/clients/scripted-transport.js';
import { FakeGpu } from '../support/gpus/fake-gpu.js';

let fake: FakeGpu;
let ends: string[];
let sent: Uint8Array[];
let session: ExecutorSession;

beforeEach(() => {
  fake = new FakeGpu();
  ends = [];
  sent = [];
  session = new ExecutorSession(fake.gpu, {
    send: (frame) => sent.push(frame),
    end: (code, reason) => ends.push(`${code}: ${reason}`),
  });
});

interface Command {
  operation: AnyOperation;
  self: Handle;
  args: unknown[];
  made?: Handle;
}

/** Writes the session's commands as a client would, from the first one on. */
const owner = {};
let encoder: CommandEncoder;

/** One frame with these commands, written as a client would. */
function frame(...commands: Command[]): Uint8Array {
  for (const { operation, self, args, made } of commands) encoder.write(operation, self, args, made);
  return takeFrame();
}

function takeFrame(): Uint8Array {
  const [only] = encoder.take();
  return only as Uint8Array;
}

/** One frame with the bytes that `write` writes. */
function raw(write: (w: Writer) => void): Uint8Array {
  const w = new Writer();
  write(w);
  return w.take()[0] as Uint8Array;
}

const head = (kind: number, value: number) => value * ITEM_KINDS + kind;

/** A command in full, of which the host keeps nothing. Operands are ages, as on the wire. */
function once(w: Writer, shape: number[], ages: number[]): void {
  w.u64(head(ITEM.once, 0));
  w.bytes(Uint8Array.from(shape));
  w.u32(ages.length);
  for (const age of ages) w.u64(age);
  w.u32(0);
}

/** A command with a named payload of 10 bytes. */
function onceWithContent(w: Writer, mode: number, rest: Uint8Array): void {
  w.u64(head(ITEM.once, 0));
  w.bytes(Uint8Array.of(DESTROY));
  w.u32(1);
  w.u64(1);
  w.u32(1);
  w.u64(10 * 4 + mode);
  w.append(rest);
}

const root = new Handle(ROOT_ID, owner);
const adapter = new Handle(UNMADE, owner);
const device = new Handle(UNMADE, owner);
const buffer = new Handle(UNMADE, owner);
const adapterOptions = { featureLevel: 'core', forceFallbackAdapter: false, xrCompatible: false };
const createBuffer: Command = {
  operation: OPERATIONS.GPUDevice.createBuffer,
  self: device,
  args: [{ label: '', size: 16, usage: 8, mappedAtCreation: false }],
  made: buffer,
};
const destroyBuffer: Command = { operation: OPERATIONS.GPUBuffer.destroy, self: buffer, args: [] };
const DESTROY = OPERATIONS.GPUBuffer.destroy.opcode;

function release(w: Writer, run: [gap: number, count: number]): void {
  w.u64(head(ITEM.release, 1));
  for (const number of run) w.u64(number);
}

/** Defines a template, repeats it, and corrects an operand of the repetition. */
function correction(operand: number): Uint8Array {
  return raw((w) => {
    w.u64(head(ITEM.define, 0));
    w.bytes(Uint8Array.of(OPERATIONS.GPUDevice.getQueue.opcode));
    w.u32(1);
    w.u64(1);
    w.u32(0);
    w.u64(head(ITEM.jump, 2));
    w.u64(head(ITEM.correct, 1));
    w.u32(operand);
    w.u64(1);
  });
}

/** Makes the GPU throw at the next call of a member. */
function refuseOnce(member: string, error: Error): void {
  fake.answers[member] = () => {
    delete fake.answers[member];
    throw error;
  };
}

async function openDevice(): Promise<void> {
  encoder = new CommandEncoder(owner, 'on');
  session.receive(
    frame({
      operation: OPERATIONS.GPU.requestAdapter,
      self: root,
      args: [adapterOptions],
      made: adapter,
    }),
  );
  await turn();
  const descriptor = { label: '', requiredFeatures: [], requiredLimits: {}, defaultQueue: { label: '' } };
  session.receive(
    frame({
      operation: OPERATIONS.GPUAdapter.requestDevice,
      self: adapter,
      args: [descriptor],
      made: device,
    }),
  );
  await turn();
  expect(ends).toEqual([]);
  sent.length = 0;
}

describe('a peer that breaks the protocol', () => {
  beforeEach(openDevice);

  it.each<[string, () => Uint8Array]>([
    ['an unknown command', () => raw((w) => once(w, [255], [1]))],
    ['a command without a receiver', () => raw((w) => once(w, [DESTROY], []))],
    ['a command with one operand too many', () => raw((w) => once(w, [DESTROY], [1, 1]))],
    ['a command that goes on after its end', () => raw((w) => once(w, [DESTROY, 0], [1]))],
    ['a command cut short', () => frame(createBuffer).subarray(0, 6)],
    ['an object that was never made', () => raw((w) => once(w, [DESTROY], [77]))],
    ['a receiver of another interface', () => frame({ ...createBuffer, self: adapter })],
    [
      'an argument of another interface',
      () =>
        frame(createBuffer, {
          operation: OPERATIONS.GPUDevice.createPipelineLayout,
          self: device,
          args: [{ label: '', bindGroupLayouts: [buffer], immediateSize: 0 }],
          made: new Handle(UNMADE, owner),
        }),
    ],
    ['a release of an object that was never made', () => raw((w) => release(w, [9, 1]))],
    ['a release without an end', () => raw((w) => release(w, [1, 2 ** 50]))],
    [
      'a release of what was released',
      () => {
        encoder.write(createBuffer.operation, device, createBuffer.args, buffer);
        encoder.release([buffer.id]);
        encoder.release([buffer.id]);
        return takeFrame();
      },
    ],
    [
      'a use after release',
      () => {
        encoder.write(createBuffer.operation, device, createBuffer.args, buffer);
        encoder.release([buffer.id]);
        return frame(destroyBuffer);
      },
    ],
    [
      'a use of what belongs to a released device',
      () => {
        encoder.write(createBuffer.operation, device, createBuffer.args, buffer);
        encoder.release([device.id]);
        return frame({ operation: OPERATIONS.GPUBuffer.mapAsync, self: buffer, args: [1, 0, undefined] });
      },
    ],
    ['a command that follows where none is expected', () => raw((w) => w.u64(head(ITEM.follow, 9)))],
    ['a template that does not exist', () => raw((w) => w.u64(head(ITEM.jump, 99)))],
    ['a correction of an operand that does not exist', () => correction(7)],
    ['a run without an end', () => raw((w) => w.u64(head(ITEM.follow, 2 ** 40)))],
    [
      'a content where none is kept',
      () =>
        raw((w) => {
          w.u64(head(ITEM.content, 10));
          w.append(new Uint8Array(42));
        }),
    ],
    ['a name where no contents are kept', () => raw((w) => onceWithContent(w, 3, new Uint8Array(32)))],
    ['a content to keep where none are kept', () => raw((w) => onceWithContent(w, 2, new Uint8Array(42)))],
    ['a frame of an unknown kind', () => new Uint8Array([7])],
  ])('%s', (_name, bytes) => {
    session.receive(bytes());
    expect(ends).toEqual([
      expect.stringMatching(/^PROTOCOL_ERROR: The client sent what the protocol does not allow: .+\.$/),
    ]);
    expect(fake.names()).toContain('GPUDevice.destroy');
    // Later frames are dropped.
    const calls = fake.calls.length;
    session.receive(frame(createBuffer));
    expect(fake.calls.length).toBe(calls);
  });

  it('makes nothing throw, whichever single byte of a good frame is wrong', () => {
    const good = frame(createBuffer, destroyBuffer);
    for (let at = 0; at < good.length; at += 1) {
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        const bytes = good.slice();
        bytes[at] = value;
        const victim = new ExecutorSession(fake.gpu, {
          send: () => {},
          end: (code) => expect(code).toBe('PROTOCOL_ERROR'),
        });
        expect(() => victim.receive(bytes)).not.toThrow();
      }
    }
  });
});

describe('a device that comes after its session has ended', () => {
  it.each(['close', 'handOver'] as const)('is destroyed where the session ended by %s', async (how) => {
    encoder = new CommandEncoder(owner, 'on');
    const request = { operation: OPERATIONS.GPU.requestAdapter, self: root, args: [adapterOptions] };
    session.receive(frame({ ...request, made: adapter }));
    await turn();
    const descriptor = { label: '', requiredFeatures: [], requiredLimits: {}, defaultQueue: { label: '' } };
    const requested = { operation: OPERATIONS.GPUAdapter.requestDevice, self: adapter, args: [descriptor] };
    session.receive(frame({ ...requested, made: device }));
    void session[how]();
    expect(fake.names()).not.toContain('GPUDevice.destroy');
    await turn();
    expect(fake.names()).toContain('GPUDevice.destroy');
  });
});

describe('commands', () => {
  beforeEach(openDevice);

  it('reach the GPU with objects in place of handles', () => {
    session.receive(frame(createBuffer, destroyBuffer));
    expect(fake.calls.slice(-2)).toEqual([
      // An empty label is left out.
      ['GPUDevice.createBuffer', [{ size: 16, usage: 8, mappedAtCreation: false }]],
      ['GPUBuffer.destroy', []],
    ]);
  });

  it('reach the GPU each time that they repeat, with the objects of that time', () => {
    const buffers = [1, 2, 3].map(() => new Handle(UNMADE, owner));
    for (const made of buffers) {
      const frame_ = frame({ ...createBuffer, made }, { ...destroyBuffer, self: made });
      session.receive(frame_);
    }
    expect(ends).toEqual([]);
    expect(fake.names().slice(-6)).toEqual(
      [1, 2, 3].flatMap(() => ['GPUDevice.createBuffer', 'GPUBuffer.destroy']),
    );
  });

  it('become errors of the device where the GPU throws, and later commands get an invalid object', async () => {
    refuseOnce('createBuffer', new RangeError('too much'));
    session.receive(frame(createBuffer, destroyBuffer));
    await turn();
    expect(ends).toEqual([]);
    expect(new TextDecoder().decode(sent[0])).toContain('too much');
    // An invalid object takes the place of the refused one, and the GPU gets that.
    expect(fake.calls.find(([name]) => name === 'GPUDevice.createBuffer')?.[1]).toMatchObject([{ size: 16 }]);
    expect(fake.calls.findLast(([name]) => name === 'GPUDevice.createBuffer')?.[1]).toMatchObject([
      { label: expect.stringContaining('invalid') },
    ]);
    expect(fake.names().at(-1)).toBe('GPUBuffer.destroy');
  });

  it('raise such an error in the scope that was open', async () => {
    refuseOnce('createBuffer', new TypeError('refused'));
    const push = { operation: OPERATIONS.GPUDevice.pushErrorScope, self: device, args: ['validation'] };
    const pop = { operation: OPERATIONS.GPUDevice.popErrorScope, self: device, args: [] };
    session.receive(frame(push, createBuffer, pop));
    await turn();
    expect(sent.length).toBe(1);
    expect(new TextDecoder().decode(sent[0])).toContain('refused');
  });

  it('have opcodes that fit a byte', () => {
    expect(COMMANDS.length).toBeLessThanOrEqual(256);
  });
});

describe('a client that watches spans', () => {
  const { watch, readClock } = OPERATIONS.FarlightActivity;
  beforeEach(() => {
    encoder = new CommandEncoder(owner, 'on');
  });
  const spans = () =>
    sent.splice(0).flatMap((frame) => {
      const r = new Reader(frame.subarray(1));
      expect(r.u8()).toBe(REPLY.activity);
      return readSpanReport(r).spans;
    });

  it('gets spans of the kinds that it names, and its number in the reply to readClock', async () => {
    const before = performance.timeOrigin + performance.now();
    session.receive(
      frame(
        { operation: watch, self: root, args: [spanMask(SPAN.clock)] },
        { operation: readClock, self: root, args: [7] },
      ),
    );
    const [clock, ...others] = spans();
    expect(others).toEqual([]);
    expect(clock).toMatchObject({ kind: SPAN.clock, number: 7 });
    expect(clock?.start).toBeGreaterThanOrEqual(before);
    expect(clock?.start).toBeLessThanOrEqual(performance.timeOrigin + performance.now());
    await turn();
    expect(spans()).toEqual([]);
  });

  it('gets no spans before it watches, or after it stops', async () => {
    session.receive(frame({ operation: readClock, self: root, args: [1] }));
    session.receive(frame({ operation: watch, self: root, args: [ALL_SPANS] }));
    session.receive(frame({ operation: watch, self: root, args: [0] }));
    sent.length = 0;
    session.receive(frame({ operation: readClock, self: root, args: [2] }));
    await turn();
    expect([sent, ends]).toEqual([[], []]);
  });
});
