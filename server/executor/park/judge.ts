import { GPUBufferUsage, GPUMapMode } from '../../../proto/gen/webgpu.js';
import { checked, scoped } from './checked.js';
import { objectOf } from './rest.js';
import type { SessionParts } from './session-state.js';

/**
 * Finds out which resources are invalid, where an error scope of the program has hidden that. Each is used in a way that
 * is an error only for an invalid one.
 */
export async function judgeResources({ context }: SessionParts): Promise<void> {
  const { live } = context.parkable;
  const devices = new Map([...context.objects.all('GPUDevice')].map(({ id, object }) => [id, object]));
  const judged: Promise<void>[] = [];
  for (const made of live.entries()) {
    const { command, isValid, isDestroyed, operands } = made;
    const { creates } = command.operation;
    if (isValid !== undefined || isDestroyed || (creates !== 'GPUBuffer' && creates !== 'GPUTexture'))
      continue;
    const device = devices.get(operands[0] as number);
    // Its handle was released. The session stays where it is, and the look at the resources says why.
    if (!device) continue;
    const judging = isValidNow(device as GPUDevice, objectOf(context, made) as GPUBuffer | GPUTexture);
    const judge = async () => {
      made.isValid = await judging;
    };
    judged.push(judge());
  }
  await Promise.all(judged);
}

/** Undefined where every use of the resource may be an error now. */
async function isValidNow(device: GPUDevice, resource: GPUBuffer | GPUTexture): Promise<boolean | undefined> {
  const { COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  if (!('size' in resource)) return isNoError(device, () => void resource.createView());
  const { usage, mapState } = resource;
  if (mapState !== 'unmapped') return undefined;
  if (usage === (MAP_READ | COPY_DST))
    return isNoError(device, () => device.queue.writeBuffer(resource, 0, new ArrayBuffer(0)));
  if (usage & MAP_READ) return isMappable(device, resource);
  return isNoError(device, () => {
    // Each other buffer was given COPY_SRC, unless its usage makes it invalid.
    const target = device.createBuffer({ size: 4, usage: COPY_DST | COPY_SRC });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(resource, 0, target, 0, 0);
    encoder.finish();
    target.destroy();
  });
}

function isNoError(device: GPUDevice, use: () => void): Promise<boolean> {
  return checked(device, use).done.then(
    () => true,
    () => false,
  );
}

async function isMappable(device: GPUDevice, buffer: GPUBuffer): Promise<boolean> {
  try {
    await scoped(device, () => buffer.mapAsync(GPUMapMode.READ, 0, 0)).result;
  } catch {
    return false;
  }
  buffer.unmap();
  return true;
}
