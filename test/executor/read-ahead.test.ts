import { describe, expect, it } from 'vitest';
import type { Context } from '#farlight/server/executor/handlers/context.js';
import { readAhead } from '#farlight/server/executor/handlers/device.js';
import { Asides } from '#farlight/server/executor/objects/asides.js';
import { ErrorScopes } from '#farlight/server/executor/objects/error-scopes.js';
import type { Entry } from '#farlight/server/executor/objects/object-table.js';
import { turn } from '../support/clients/scripted-transport.js';
import { FakeGpu } from '../support/gpus/fake-gpu.js';

/** Asks a device whose GPU works until `finish` is called. */
function ask(scopes: number, done: boolean) {
  const fake = new FakeGpu();
  let finish = () => {};
  fake.answers.onSubmittedWorkDone = () => new Promise<void>((resolve) => (finish = resolve));
  const device = fake.device as unknown as GPUDevice;
  const opened = { device, asides: new Asides(device), scopes: new ErrorScopes() };
  opened.scopes.push('validation');
  const context = { devices: { of: () => opened }, submitted() {} } as unknown as Context;
  const { promise } = readAhead(context, {} as Entry, [[], scopes, done]);
  let isAnswered = false;
  void promise.then(() => {
    isAnswered = true;
  });
  return { isAnswered: () => isAnswered, finish: () => finish() };
}

describe('a question about no bytes', () => {
  it('is answered when the GPU is done, if it is about the end of the work', async () => {
    const asked = ask(0, true);
    await turn();
    expect(asked.isAnswered()).toBe(false);
    asked.finish();
    await turn();
    expect(asked.isAnswered()).toBe(true);
  });

  it('is answered while the GPU works, if it is about scopes alone', async () => {
    const asked = ask(1, false);
    await turn();
    expect(asked.isAnswered()).toBe(true);
  });
});
