import { describe, type Run } from './run.js';

const BYTES_PER_ROW = 256;

/** Notes the contents of every buffer and texture, or the error if there are none. */
export async function readBack(run: Run): Promise<void> {
  for (const buffer of run.all('buffer')) await inScope(run, buffer, () => bytesOfBuffer(run, buffer));
  for (const texture of run.all('texture')) await inScope(run, texture, () => bytesOfTexture(run, texture));
}

type Staged = { mapped: GPUBuffer; promise: Promise<unknown> } | undefined;

async function inScope(run: Run, object: GPUBuffer | GPUTexture, stage: () => Staged): Promise<void> {
  const device = run.ownerOf(object);
  device.pushErrorScope('validation');
  let staged: Staged;
  let found = 'nothing to read';
  try {
    staged = stage();
  } catch (error) {
    found = `throws ${(error as Error).name}`;
  }
  const popped = device.popErrorScope();
  if (staged) {
    const { mapped, promise } = staged;
    found = await promise.then(
      () => Buffer.from(mapped.getMappedRange()).toString('hex'),
      (reason) => `rejected with ${reason.name}`,
    );
    mapped.unmap();
  }
  run.note(`${object.label} has ${found}; ${describe(await popped)}`);
}

function bytesOfBuffer(run: Run, buffer: GPUBuffer): Staged {
  // It may still be mapped, and then it could not be read.
  buffer.unmap();
  if (buffer.usage & 0x1) return { mapped: buffer, promise: buffer.mapAsync(0x1) };
  if (!(buffer.usage & 0x4)) return undefined;
  const device = run.ownerOf(buffer);
  const mapped = device.createBuffer({ size: buffer.size, usage: 0x9 });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, mapped, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  return { mapped, promise: mapped.mapAsync(0x1) };
}

function bytesOfTexture(run: Run, texture: GPUTexture): Staged {
  if (!(texture.usage & 0x1)) return undefined;
  const device = run.ownerOf(texture);
  const { width, height, depthOrArrayLayers } = texture;
  const size = Math.min(1 << 16, BYTES_PER_ROW * height * depthOrArrayLayers);
  const mapped = device.createBuffer({ size, usage: 0x9 });
  const encoder = device.createCommandEncoder();
  encoder.copyTextureToBuffer(
    { texture },
    { buffer: mapped, bytesPerRow: BYTES_PER_ROW, rowsPerImage: height },
    [width, height, depthOrArrayLayers],
  );
  device.queue.submit([encoder.finish()]);
  return { mapped, promise: mapped.mapAsync(0x1) };
}
