import { beforeEach, describe, expect, it } from 'vitest';
import { type BufferFacts, Proof } from '#farlight/client/ahead/proof.js';
import { OPERATIONS } from '#farlight/proto/gen/operations.js';
import type { Handle } from '#farlight/proto/wire/handle.js';

const { GPUBuffer, GPUCommandEncoder, GPUDevice, GPUQueue } = OPERATIONS;
const SESSION = {};
const DEVICE = { id: 1, owner: SESSION } as Handle;
const QUEUE = { id: 2, owner: SESSION } as Handle;
const READABLE = 0x9;
const STORAGE = 0x8c;
const READ = 1;

let nextId: number;
let proof: Proof;

beforeEach(() => {
  nextId = 10;
  proof = new Proof(DEVICE.id);
});

const handle = () => ({ id: nextId++, owner: SESSION }) as Handle;

function buffer(usage: number, facts: Partial<BufferFacts> = {}): BufferFacts {
  const common = { kind: 'GPUBuffer', device: DEVICE, size: 64, state: 'unmapped', isDestroyed: false };
  return { ...handle(), ...common, usage, isProven: true, ...facts } as BufferFacts;
}

const record = (operation: Parameters<Proof['command']>[0], self: Handle, args: unknown[], made?: Handle) =>
  proof.command(operation, self, args, made);

type Copying = [from: BufferFacts, fromOffset: number, to: BufferFacts, toOffset: number, size?: number];

/** Copies and submits; false where the client could not answer for it. */
function copy(...args: Copying): boolean {
  const [encoder, commands] = [handle(), handle()];
  return (
    record(GPUDevice.createCommandEncoder, DEVICE, [{}], encoder) &&
    record(GPUCommandEncoder.copyBufferToBuffer, encoder, args) &&
    record(GPUCommandEncoder.finish, encoder, [{}], commands) &&
    record(GPUQueue.submit, QUEUE, [[commands]])
  );
}

const map = (target: BufferFacts, offset = 0, size?: number, mode = READ) =>
  proof.wait(GPUBuffer.mapAsync, { ...target, state: 'pending' } as BufferFacts, [mode, offset, size]);

describe('the bytes of a mapping for reading', () => {
  it('are the bytes that were copied to the buffer', () => {
    const [source, target] = [buffer(STORAGE), buffer(READABLE)];
    expect(copy(source, 16, target, 8, 32)).toBe(true);
    expect(map(target, 8, 32)).toEqual({ kind: 'read', source: source.id, offset: 16, size: 32 });
    expect(map(target, 16, 8)).toEqual({ kind: 'read', source: source.id, offset: 24, size: 8 });
  });

  it('are the rest of the source if the copy has no size', () => {
    const [source, target] = [buffer(STORAGE), buffer(READABLE)];
    copy(source, 32, target, 0);
    expect(map(target, 0, 32)).toEqual({ kind: 'read', source: source.id, offset: 32, size: 32 });
    expect(map(target)).toBeUndefined();
  });

  it('are the bytes of the last copy', () => {
    const [one, other, target] = [buffer(STORAGE), buffer(STORAGE), buffer(READABLE)];
    copy(one, 0, target, 0);
    copy(other, 0, target, 0, 8);
    expect(map(target)).toBeUndefined();
    expect(map(target, 0, 8)).toMatchObject({ source: other.id });
  });

  it('are unknown without a copy', () => {
    expect(map(buffer(READABLE))).toBeUndefined();
  });

  it.each([
    ['is for writing', 0, 64, 2],
    ['begins at no multiple of 8', 4, 8, READ],
    ['has a length that is no multiple of 4', 0, 6, READ],
    ['is longer than the copy', 0, 128, READ],
    ['is empty', 0, 0, READ],
  ])('are unknown if the mapping %s', (_, offset, size, mode) => {
    const [source, target] = [buffer(STORAGE), buffer(READABLE)];
    expect(copy(source, 0, target, 0)).toBe(true);
    expect(map(target, offset, size, mode)).toBeUndefined();
  });

  it('are unknown for a mapped or destroyed buffer', () => {
    const [source, target] = [buffer(STORAGE), buffer(READABLE)];
    copy(source, 0, target, 0);
    const mapped = { ...target, state: 'mapped' } as BufferFacts;
    expect(proof.wait(GPUBuffer.mapAsync, mapped, [READ, 0, undefined])).toBeUndefined();
    expect(map({ ...target, isDestroyed: true })).toBeUndefined();
  });
});

describe('a copy', () => {
  const ofAnotherDevice = { device: { id: 99, owner: SESSION } as Handle };
  const ofAnotherSession = { owner: {} };

  it.each<[string, () => Copying]>([
    ['from a buffer without the usage', () => [buffer(0x80), 0, buffer(READABLE), 0]],
    ['to a buffer that commands read', () => [buffer(STORAGE), 0, buffer(STORAGE), 0]],
    [
      'to a buffer that was never mapped',
      () => [buffer(STORAGE), 0, buffer(READABLE, { isProven: false }), 0],
    ],
    ['from beyond the end', () => [buffer(STORAGE), 32, buffer(READABLE), 0, 64]],
    ['beyond the end', () => [buffer(STORAGE), 0, buffer(READABLE), 8, 64]],
    ['of no multiple of 4', () => [buffer(STORAGE), 0, buffer(READABLE), 0, 6]],
    ['from no multiple of 4', () => [buffer(STORAGE), 2, buffer(READABLE), 0, 8]],
    ['of nothing', () => [buffer(STORAGE), 0, buffer(READABLE), 0, 0]],
    ["from another device's buffer", () => [buffer(STORAGE, ofAnotherDevice), 0, buffer(READABLE), 0]],
    ["from another session's buffer", () => [buffer(STORAGE, ofAnotherSession), 0, buffer(READABLE), 0]],
    ["to another session's buffer", () => [buffer(STORAGE), 0, buffer(READABLE, ofAnotherSession), 0]],
    [
      'from a buffer that is destroyed',
      () => [buffer(STORAGE, { isDestroyed: true }), 0, buffer(READABLE), 0],
    ],
    ['to a buffer that is mapped', () => [buffer(STORAGE), 0, buffer(READABLE, { state: 'mapped' }), 0]],
    ['from a buffer that is being mapped', () => [buffer(0x6, { state: 'pending' }), 0, buffer(READABLE), 0]],
  ])('%s proves nothing', (_, args) => {
    expect(copy(...args())).toBe(false);
  });

  it('to a new buffer proves its bytes, if the buffer is for reading and not too long', () => {
    const made = (descriptor: object, usage = READABLE) => {
      const target = buffer(usage, { isProven: false });
      const whole = { size: 64, usage, mappedAtCreation: false, ...descriptor };
      return record(GPUDevice.createBuffer, DEVICE, [whole], target) && copy(buffer(STORAGE), 0, target, 0);
    };
    expect(made({})).toBe(true);
    expect(made({ mappedAtCreation: true })).toBe(false);
    expect(made({ size: 1 << 20 })).toBe(false);
    expect(made({}, STORAGE)).toBe(false);
  });

  it('in an encoder from before the wait proves nothing', () => {
    const args = [buffer(STORAGE), 0, buffer(READABLE), 0, 8];
    expect(record(GPUCommandEncoder.copyBufferToBuffer, handle(), args)).toBe(false);
  });
});

describe('commands', () => {
  it('are unknown if they are submitted twice, or finished twice', () => {
    const [encoder, commands] = [handle(), handle()];
    record(GPUDevice.createCommandEncoder, DEVICE, [{}], encoder);
    expect(record(GPUCommandEncoder.finish, encoder, [{}], commands)).toBe(true);
    expect(record(GPUCommandEncoder.finish, encoder, [{}], handle())).toBe(false);
    expect(record(GPUQueue.submit, QUEUE, [[commands]])).toBe(true);
    expect(record(GPUQueue.submit, QUEUE, [[commands]])).toBe(false);
  });

  it('outside the list end the proof', () => {
    expect(record(GPUQueue.submit, QUEUE, [[handle()]])).toBe(false);
    expect(record(GPUQueue.writeBuffer, QUEUE, [buffer(STORAGE), 0, new Uint8Array(4)])).toBe(false);
    expect(record(GPUDevice.createBindGroup, DEVICE, [{}], handle())).toBe(false);
    expect(record(GPUDevice.destroy, DEVICE, [])).toBe(false);
  });

  it('that end a mapping are harmless for buffers for reading, and not for writing', () => {
    expect(record(GPUBuffer.unmap, buffer(READABLE), [[]])).toBe(true);
    expect(record(GPUBuffer.unmap, buffer(0x6), [[]])).toBe(false);
    expect(record(GPUBuffer.destroy, buffer(STORAGE), [])).toBe(true);
  });
});

it('a scope that was opened since the wait differs from one that was open before', () => {
  const pop = () => proof.wait(GPUDevice.popErrorScope, DEVICE, [])?.kind;
  record(GPUDevice.pushErrorScope, DEVICE, ['validation']);
  expect(proof.scopes).toBe(1);
  expect(pop()).toBe('inner');
  expect(pop()).toBe('outer');
});

it('a wait for the end of the work follows, and a wait of another kind does not', () => {
  expect(proof.wait(GPUQueue.onSubmittedWorkDone, QUEUE, [])).toEqual({ kind: 'done' });
  expect(proof.wait(OPERATIONS.GPUShaderModule.getCompilationInfo, handle(), [])).toBeUndefined();
});
