import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { COPY_DST, rejection, STORAGE, thrown } from './support.js';

/** Raises a validation error that names `label`. */
const mistake = (device: GPUDevice, label: string) =>
  device.createBuffer({ size: device.limits.maxBufferSize + 4, usage: COPY_DST, label });

describe('error scopes', () => {
  parity('a scope without an error pops null', async ({ device }) => {
    for (const filter of ['validation', 'out-of-memory', 'internal'] as const) {
      device.pushErrorScope(filter);
      device.createBuffer({ size: 4, usage: STORAGE });
      expect(await device.popErrorScope()).toBeNull();
    }
  });

  parity('a validation scope pops a GPUValidationError with a message', async (t) => {
    t.device.pushErrorScope('validation');
    mistake(t.device, 'big');
    const error = await t.device.popErrorScope();
    expect(error).toBeInstanceOf(t.globals.GPUValidationError);
    expect(error).toBeInstanceOf(t.globals.GPUError);
    expect(error?.message).toContain('big');
    t.observe('message', error?.message);
  });

  parity('a scope keeps the first of its errors', async ({ device, observe }) => {
    device.pushErrorScope('validation');
    mistake(device, 'first');
    mistake(device, 'second');
    const error = await device.popErrorScope();
    expect(error?.message).toContain('first');
    observe('message', error?.message);
  });

  parity('scopes nest: an error goes to the innermost one of its kind', async ({ device }) => {
    device.pushErrorScope('validation');
    device.pushErrorScope('validation');
    mistake(device, 'inner');
    const inner = device.popErrorScope();
    mistake(device, 'outer');
    const outer = device.popErrorScope();
    expect((await inner)?.message).toContain('inner');
    expect((await outer)?.message).toContain('outer');
  });

  parity('an error passes through the scopes of other kinds', async ({ device }) => {
    device.pushErrorScope('validation');
    device.pushErrorScope('internal');
    device.pushErrorScope('out-of-memory');
    mistake(device, 'passing');
    expect(await device.popErrorScope()).toBeNull();
    expect(await device.popErrorScope()).toBeNull();
    expect((await device.popErrorScope())?.message).toContain('passing');
  });

  parity('an error that no scope catches is uncaptured', async ({ device, uncaptured }) => {
    device.pushErrorScope('out-of-memory');
    mistake(device, 'free');
    expect(await device.popErrorScope()).toBeNull();
    const errors = await uncaptured();
    expect(errors.length).toBe(1);
    expect(errors[0]?.message).toContain('free');
  });

  parity('an error after the pop does not belong to the scope', async ({ device, uncaptured }) => {
    device.pushErrorScope('validation');
    const popped = device.popErrorScope();
    mistake(device, 'late');
    expect(await popped).toBeNull();
    expect((await uncaptured()).length).toBe(1);
  });

  parity('pops settle in the order of their calls', async ({ device }) => {
    for (let depth = 0; depth < 3; depth++) device.pushErrorScope('validation');
    const order: number[] = [];
    await Promise.all([0, 1, 2].map((pop) => device.popErrorScope().then(() => order.push(pop))));
    expect(order).toEqual([0, 1, 2]);
  });

  parity('a pop without a scope rejects with OperationError', async ({ device }) => {
    const reason = await rejection(device.popErrorScope());
    expect(reason).toBeInstanceOf(DOMException);
    expect(reason.name).toBe('OperationError');
  });

  parity('an extra pop rejects, and later scopes work', async ({ device }) => {
    device.pushErrorScope('validation');
    const good = device.popErrorScope();
    const bad = rejection(device.popErrorScope());
    device.pushErrorScope('validation');
    mistake(device, 'again');
    const next = device.popErrorScope();
    expect(await good).toBeNull();
    expect((await bad).name).toBe('OperationError');
    expect((await next)?.message).toContain('again');
  });

  parity('a filter that does not exist throws a TypeError and pushes nothing', async ({ device }) => {
    expect(thrown(() => device.pushErrorScope('everything' as never))).toBeInstanceOf(TypeError);
    expect((await rejection(device.popErrorScope())).name).toBe('OperationError');
  });

  parity('each device has its own scopes', async ({ device, newDevice }) => {
    const other = await newDevice();
    device.pushErrorScope('validation');
    other.pushErrorScope('validation');
    mistake(other, 'theirs');
    expect(await device.popErrorScope()).toBeNull();
    expect((await other.popErrorScope())?.message).toContain('theirs');
  });

  parity('errors of the queue go to the scope around the call', async ({ device, observe }) => {
    const buffer = device.createBuffer({ size: 4, usage: STORAGE, label: 'no destination' });
    device.pushErrorScope('validation');
    device.queue.writeBuffer(buffer, 0, new Uint8Array(4));
    const popped = device.popErrorScope();
    device.queue.writeBuffer(device.createBuffer({ size: 4, usage: COPY_DST }), 0, new Uint8Array(4));
    const error = await popped;
    expect(error?.message).toContain('no destination');
    observe('message', error?.message);
  });

  parity('a scope catches errors of later tasks, until it is popped', async ({ device }) => {
    device.pushErrorScope('validation');
    await device.queue.onSubmittedWorkDone();
    mistake(device, 'afterwards');
    await device.queue.onSubmittedWorkDone();
    expect((await device.popErrorScope())?.message).toContain('afterwards');
  });
});
