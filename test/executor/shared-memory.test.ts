import { describe, expect, it } from 'vitest';
import { CommandEncoder } from '#farlight/client/reuse/command-encoder.js';
import { OPERATIONS } from '#farlight/proto/gen/operations.js';
import type { ShareReport } from '#farlight/proto/session/shares.js';
import { Handle, ROOT_ID, UNMADE } from '#farlight/proto/wire/handle.js';
import { ExecutorSession } from '#farlight/server/executor/session.js';
import { turn } from '../support/clients/scripted-transport.js';
import { FakeGpu } from '../support/gpus/fake-gpu.js';

const SIZE = 100;
const NOTHING = { bytes: 0, limit: 1000, others: 0 };

/** A session with a device, which must ask its host for any memory. */
async function open() {
  const fake = new FakeGpu();
  const asked: ShareReport[] = [];
  const peer = { send: () => true, end: () => {}, ask: (report: ShareReport) => void asked.push(report) };
  const limits = { gpuMs: 0, memory: NOTHING, memoryUntilCollected: false, takesTurns: false };
  const session = new ExecutorSession(fake.gpu, peer, { limits });
  const owner = {};
  const encoder = new CommandEncoder(owner, 'on');
  const send = async (): Promise<void> => {
    for (const frame of encoder.take()) session.receive(frame);
    await turn();
  };
  const [adapter, device, buffer] = Array.from({ length: 3 }, () => new Handle(UNMADE, owner));
  const any = { featureLevel: 'core', forceFallbackAdapter: false, xrCompatible: false };
  encoder.write(OPERATIONS.GPU.requestAdapter, new Handle(ROOT_ID, owner), [any], adapter);
  await send();
  const descriptor = { label: '', requiredFeatures: [], requiredLimits: {}, defaultQueue: { label: '' } };
  encoder.write(OPERATIONS.GPUAdapter.requestDevice, adapter as Handle, [descriptor], device);
  await send();
  const create = (): Promise<void> => {
    const described = { label: '', size: SIZE, usage: 8, mappedAtCreation: false };
    encoder.write(OPERATIONS.GPUDevice.createBuffer, device as Handle, [described], buffer);
    return send();
  };
  const made = () =>
    fake.calls.filter(([, [first]]) => (first as { size?: number } | undefined)?.size === SIZE).length;
  return { session, asked, create, made };
}

describe('a session that shares memory with others', () => {
  it('uses what it was granted for a waiting create, also where it is asked to give back at once', async () => {
    const { session, asked, create, made } = await open();
    await create();
    expect(asked).toEqual([{ type: 'wantMemory', bytes: SIZE }]);
    expect(made()).toBe(0);
    // Both messages are there before the create can go on.
    session.share({ type: 'memory', bytes: 1000, limit: 1000, others: 0 });
    session.share({ type: 'reclaim' });
    await turn();
    expect(made()).toBe(1);
    expect(asked).toEqual([
      { type: 'wantMemory', bytes: SIZE },
      { type: 'keepMemory', bytes: SIZE },
    ]);
  });
});
