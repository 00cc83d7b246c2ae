import { GPUBufferUsage } from '../../../proto/gen/webgpu.js';
import { checked } from './checked.js';
import { objectOf } from './rest.js';
import type { SessionParts } from './session-state.js';

/**
 * Finds out which resources are invalid, where an error scope of the program has hidden that. Each is used in a way that
 * is an error only for an invalid one.
 */
export async function judgeResources({ context }: SessionParts): Promise<void> {
  const { live } = context.parkable;
  const judged: Promise<void>[] = [];
  for (const made of live.entries()) {
    const { command, isValid, isDestroyed, operands } = made;
    const { creates } = command.operation;
    if (isValid !== undefined || isDestroyed || (creates !== 'GPUBuffer' && creates !== 'GPUTexture'))
      continue;
    const device = context.objects.get(operands[0] as number).object as GPUDevice;
    const use = useOf(device, objectOf(context, made) as GPUBuffer | GPUTexture);
    if (!use) continue;
    const { done } = checked(device, use);
    judged.push(
      done.then(
        () => {
          made.isValid = true;
        },
        () => {
          made.isValid = false;
        },
      ),
    );
  }
  await Promise.all(judged);
}

/** Undefined where every use of the resource may be an error. */
function useOf(device: GPUDevice, resource: GPUBuffer | GPUTexture): (() => void) | undefined {
  if (!('size' in resource)) return () => void resource.createView();
  const { COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const { usage, mapState } = resource;
  if (mapState !== 'unmapped') return undefined;
  if (usage === (MAP_READ | COPY_DST)) return () => device.queue.writeBuffer(resource, 0, new ArrayBuffer(0));
  if (usage & MAP_READ) return undefined;
  return () => {
    // Each other buffer was given COPY_SRC, unless its usage makes it invalid.
    const target = device.createBuffer({ size: 4, usage: COPY_DST | COPY_SRC });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(resource, 0, target, 0, 0);
    encoder.finish();
    target.destroy();
  };
}
