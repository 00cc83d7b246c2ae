import { beforeEach, describe, expect, it } from 'vitest';
import { COMMANDS, OPERATIONS } from '#farlight/proto/gen/operations.js';
import { Handle } from '#farlight/proto/wire/handle.js';
import { LIMITS } from '#farlight/proto/wire/limits.js';
import type { AnyOperation } from '#farlight/proto/wire/operation.js';
import { Writer } from '#farlight/proto/wire/writer.js';
import { ExecutorSession } from '#farlight/server/executor/session.js';
import { FakeGpu } from '../support/fake-gpu.js';
import { turn } from '../support/scripted-transport.js';

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
  serial?: number;
}

/** One frame with these commands, written as a client would. */
function frame(...commands: Command[]): Uint8Array {
  const w = new Writer();
  for (const { operation, self, args, made, serial } of commands) {
    w.u8(operation.opcode);
    w.handle(self);
    if (made) w.handle(made);
    if (serial !== undefined) w.u32(serial);
    operation.write(w, args);
  }
  const [only] = w.take();
  return only as Uint8Array;
}

const root = new Handle(0, 0);
const adapter = new Handle(1, 0);
const device = new Handle(2, 0);
const buffer = new Handle(3, 0);
const adapterOptions = { featureLevel: 'core', forceFallbackAdapter: false, xrCompatible: false };
const createBuffer: Command = {
  operation: OPERATIONS.GPUDevice.createBuffer,
  self: device,
  args: [{ label: '', size: 16, usage: 8, mappedAtCreation: false }],
  made: buffer,
};

/** Makes the GPU throw at the next call of a member. */
function refuseOnce(member: string, error: Error): void {
  fake.answers[member] = () => {
    delete fake.answers[member];
    throw error;
  };
}

async function openDevice(): Promise<void> {
  session.receive(
    frame({
      operation: OPERATIONS.GPU.requestAdapter,
      self: root,
      args: [adapterOptions],
      made: adapter,
      serial: 1,
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
      serial: 2,
    }),
  );
  await turn();
  expect(ends).toEqual([]);
  sent.length = 0;
}

describe('a peer that breaks the protocol loses its session, and the process goes on', () => {
  beforeEach(openDevice);

  it.each<[string, () => Uint8Array]>([
    ['an unknown command', () => new Uint8Array([0, 255])],
    ['a command cut short', () => frame(createBuffer).subarray(0, 6)],
    ['an object that was never made', () => frame({ ...createBuffer, self: new Handle(77, 0) })],
    ['an object of another generation', () => frame({ ...createBuffer, self: new Handle(device.id, 1) })],
    ['a receiver of another interface', () => frame({ ...createBuffer, self: adapter })],
    [
      'an argument of another interface',
      () =>
        frame(createBuffer, {
          operation: OPERATIONS.GPUDevice.createPipelineLayout,
          self: device,
          args: [{ label: '', bindGroupLayouts: [buffer], immediateSize: 0 }],
          made: new Handle(4, 0),
        }),
    ],
    ['a handle that is in use', () => frame(createBuffer, createBuffer)],
    ['a handle in the place of the GPU', () => frame({ ...createBuffer, made: root })],
    ['a handle over the limit', () => frame({ ...createBuffer, made: new Handle(LIMITS.objects, 0) })],
    [
      'the release of what is not there',
      () => frame({ operation: OPERATIONS.FarlightSession.release, self: root, args: [[9, 0]] }),
    ],
    [
      'the release of half a handle',
      () => frame({ operation: OPERATIONS.FarlightSession.release, self: root, args: [[2]] }),
    ],
    [
      'a use after release',
      () =>
        frame(
          createBuffer,
          { operation: OPERATIONS.FarlightSession.release, self: root, args: [[3, 0]] },
          {
            operation: OPERATIONS.GPUBuffer.destroy,
            self: buffer,
            args: [],
          },
        ),
    ],
    ['a frame of an unknown kind', () => new Uint8Array([7])],
  ])('%s', (_name, bytes) => {
    session.receive(bytes());
    expect(ends).toEqual([
      expect.stringMatching(/^PROTOCOL_ERROR: The client sent what the protocol does not allow: .+\.$/),
    ]);
    expect(fake.names()).toContain('GPUDevice.destroy');
    // What still comes is dropped.
    const calls = fake.calls.length;
    session.receive(frame(createBuffer));
    expect(fake.calls.length).toBe(calls);
  });

  it('any single byte of a good frame may be wrong, and nothing throws', () => {
    const good = frame(createBuffer, { operation: OPERATIONS.GPUBuffer.destroy, self: buffer, args: [] });
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

describe('commands', () => {
  beforeEach(openDevice);

  it('reach the GPU with objects in place of handles', () => {
    session.receive(frame(createBuffer, { operation: OPERATIONS.GPUBuffer.destroy, self: buffer, args: [] }));
    expect(fake.calls.slice(-2)).toEqual([
      ['GPUDevice.createBuffer', [{ label: '', size: 16, usage: 8, mappedAtCreation: false }]],
      ['GPUBuffer.destroy', []],
    ]);
  });

  it('a handle can be used again after its release, with the next generation', () => {
    const next = new Handle(buffer.id, 1);
    session.receive(
      frame(
        createBuffer,
        { operation: OPERATIONS.FarlightSession.release, self: root, args: [[3, 0]] },
        { ...createBuffer, made: next },
      ),
    );
    expect(ends).toEqual([]);
  });

  it('that the GPU refuses by throwing become errors of the device, and what uses the result meets an invalid object', async () => {
    refuseOnce('createBuffer', new RangeError('too much'));
    session.receive(frame(createBuffer, { operation: OPERATIONS.GPUBuffer.destroy, self: buffer, args: [] }));
    await turn();
    expect(ends).toEqual([]);
    expect(new TextDecoder().decode(sent[0])).toContain('too much');
    // An invalid object takes the place of what was refused, and the GPU is used with that.
    expect(fake.calls.find(([name]) => name === 'GPUDevice.createBuffer')?.[1]).toMatchObject([{ size: 16 }]);
    expect(fake.calls.findLast(([name]) => name === 'GPUDevice.createBuffer')?.[1]).toMatchObject([
      { label: expect.stringContaining('invalid') },
    ]);
    expect(fake.names().at(-1)).toBe('GPUBuffer.destroy');
  });

  it('such an error lands in the scope that was open', async () => {
    refuseOnce('createBuffer', new TypeError('refused'));
    const push = { operation: OPERATIONS.GPUDevice.pushErrorScope, self: device, args: ['validation'] };
    const pop = { operation: OPERATIONS.GPUDevice.popErrorScope, self: device, args: [], serial: 7 };
    session.receive(frame(push, createBuffer, pop));
    await turn();
    expect(sent.length).toBe(1);
    expect(new TextDecoder().decode(sent[0])).toContain('refused');
  });

  it('every command has an opcode that fits a byte', () => {
    expect(COMMANDS.length).toBeLessThanOrEqual(256);
  });
});
