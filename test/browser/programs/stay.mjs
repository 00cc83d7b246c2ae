// Opens a session and leaves it open.
import { create } from '/farlight.js';

export default async function main(host) {
  globalThis.gpu = create({ host });
  const adapter = await globalThis.gpu.requestAdapter();
  globalThis.device = await adapter.requestDevice();
  await globalThis.device.queue.onSubmittedWorkDone();
}
