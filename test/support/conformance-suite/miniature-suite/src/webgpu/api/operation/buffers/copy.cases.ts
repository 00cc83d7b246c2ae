import { readFileSync } from 'node:fs';

export const cases = {
  async 'write,copy,map'(gpu: GPU): Promise<void> {
    // The suite reads what it needs from the folder that it runs in.
    const bytes = new Uint8Array(readFileSync('out-node/resources/bytes.txt'));
    const device = await (await gpu.requestAdapter())?.requestDevice();
    if (!device) throw new Error('there is no device');
    const { COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
    const from = device.createBuffer({ size: bytes.length, usage: COPY_SRC | COPY_DST });
    const to = device.createBuffer({ size: bytes.length, usage: COPY_DST | MAP_READ });
    device.queue.writeBuffer(from, 0, bytes);
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(from, 0, to, 0, bytes.length);
    device.queue.submit([encoder.finish()]);
    await to.mapAsync(GPUMapMode.READ);
    const read = new Uint8Array(to.getMappedRange());
    if (!bytes.every((byte, at) => read[at] === byte)) throw new Error(`read ${read}, and wrote ${bytes}`);
    device.destroy();
  },
};
