import { native } from '../../../link/machine/globals.js';
import { type GPUBufferDescriptor, OPERATIONS } from '../../../proto/gen/operations.js';
import { GPUBufferUsage, GPUMapMode } from '../../../proto/gen/webgpu.js';
import { PART_BYTES } from '../../../proto/wire/limits.js';
import { ClientResource } from '../../session/client-resource.js';
import { partsOf } from '../../session/parts.js';
import type { DeviceResource } from '../device/device-resource.js';
import {
  awaitedCall,
  defineInterface,
  defineObjectBase,
  deviceOf,
  illegal,
  localCall,
  promising,
  receiver,
} from '../interface.js';
import { ActiveMapping, ReadParts } from './mapping.js';

/**
 * The client's state of a buffer.
 *
 * Mapping states: *unmapped*; *pending* (mapAsync awaits the host); *mapped* (the program may hold ranges).
 * unmapped -> pending by mapAsync. pending -> mapped by the host's reply. pending or mapped -> unmapped by
 * unmap or destroy. A buffer mapped at creation begins as mapped. mapAsync on a mapped buffer leaves it
 * mapped, and is pending until the host refuses it.
 */
class BufferResource extends ClientResource {
  readonly size: number;
  readonly usage: number;
  mapping: ActiveMapping | undefined;
  pendingMap: { reject(error: unknown): void } | undefined;
  isDestroyed = false;
  /** The host has mapped it before, which it does with valid buffers alone. */
  isProven = false;
  /**
   * The contents of a MAP_WRITE buffer. Its only other usage can be COPY_SRC, so only this program writes it,
   * and mapping it again needs no bytes from the host. Made when the buffer is first mapped.
   */
  contents: Uint8Array | undefined;
  /**
   * Programs map the same buffer again, and fresh memory from the system takes longer to fill than to write.
   */
  #memory: WeakRef<ArrayBuffer> | undefined;

  constructor(device: ClientResource, descriptor: GPUBufferDescriptor<unknown>) {
    super(device.session, 'GPUBuffer', deviceOf(device), descriptor.label);
    this.size = descriptor.size;
    this.usage = descriptor.usage;
  }

  /** Makes this the buffer's mapping. */
  map(mapping: ActiveMapping): void {
    this.mapping = mapping;
    this.#endWithDevice();
  }

  /** Makes this the request that the host is to answer. */
  await(pending: { reject(error: unknown): void }): void {
    this.pendingMap = pending;
    this.#endWithDevice();
  }

  #endWithDevice(): void {
    (this.device as DeviceResource).mapped.add(this);
  }

  get state(): GPUBufferMapState {
    if (this.mapping) return 'mapped';
    return this.pendingMap ? 'pending' : 'unmapped';
  }

  /** Takes the memory of the last long mapping, if it is still alive. */
  takeMemory(): ArrayBuffer | undefined {
    const memory = this.#memory?.deref();
    this.#memory = undefined;
    return memory;
  }

  /** Ends a mapping on this side, or a request for one. */
  release(): void {
    this.pendingMap?.reject(
      new native.DOMException('The buffer was unmapped before it was mapped.', 'AbortError'),
    );
    this.pendingMap = undefined;
    const memory = this.mapping?.detach();
    if (memory && memory.byteLength > PART_BYTES) this.#memory = new WeakRef(memory);
    this.mapping = undefined;
    (this.device as DeviceResource).mapped.delete(this);
  }
}

const { createBuffer } = OPERATIONS.GPUDevice;
const operations = OPERATIONS.GPUBuffer;

/** GPUDevice.createBuffer without its wrapper. Throws RangeError if there is no memory for a mapping. */
export function createBufferResource(
  device: ClientResource,
  descriptor: GPUBufferDescriptor<never>,
): ClientResource {
  let mapping: ActiveMapping | undefined;
  if (descriptor.mappedAtCreation) {
    if (descriptor.size % 4 !== 0) {
      throw new RangeError(
        `GPUDevice.createBuffer: a buffer mapped at creation needs a size that is a multiple of 4; ${descriptor.size} is not.`,
      );
    }
    // Throws RangeError by itself if there is no memory, as the specification demands.
    mapping = new ActiveMapping(0, new ArrayBuffer(descriptor.size), true);
  }
  const buffer = new BufferResource(device, descriptor);
  if (mapping) buffer.map(mapping);
  device.session.record(createBuffer, device, [descriptor], buffer);
  return buffer;
}

/** https://gpuweb.github.io/gpuweb/#gpubuffer */
export class GPUBuffer {
  declare label: string;

  constructor() {
    illegal();
  }

  get size(): number {
    return bufferOf(this, 'size').size;
  }

  get usage(): number {
    return bufferOf(this, 'usage').usage;
  }

  get mapState(): GPUBufferMapState {
    return bufferOf(this, 'mapState').state;
  }

  mapAsync(...args: unknown[]): Promise<undefined> {
    return promising(() => {
      const buffer = awaitedCall(this, 'GPUBuffer', 'mapAsync') as BufferResource;
      const [mode, offset, size] = operations.mapAsync.convert?.(args) ?? [];
      return mapAsync(buffer, mode as number, offset as number, size);
    });
  }

  getMappedRange(...args: unknown[]): ArrayBuffer {
    const buffer = localCall(this, 'GPUBuffer', 'getMappedRange') as BufferResource;
    const [offset = 0, size] = operations.getMappedRange.convert?.(args) ?? [];
    if (!buffer.mapping) {
      throw new native.DOMException('GPUBuffer.getMappedRange: the buffer is not mapped.', 'OperationError');
    }
    return buffer.mapping.getRange(offset, size ?? Math.max(0, buffer.size - offset));
  }

  unmap(): undefined {
    const buffer = localCall(this, 'GPUBuffer', 'unmap') as BufferResource;
    if (buffer.state === 'unmapped') return;
    const written = buffer.mapping?.written() ?? [];
    // This comes first, because it may find no memory. Then the buffer stays mapped.
    if (buffer.usage & GPUBufferUsage.MAP_WRITE) {
      for (const { offset, data } of written) contentsOf(buffer).set(data, offset);
    }
    const long = written.filter(({ data }) => data.length > PART_BYTES);
    for (const { offset, data } of long) {
      const whole = { length: data.length };
      for (const part of partsOf(data)) {
        const write = [offset + part.offset, part.data];
        buffer.session.recordPart(operations.writeMapped, buffer, write, part.data, whole);
      }
    }
    const short = written.filter(({ data }) => data.length <= PART_BYTES);
    buffer.session.record(operations.unmap, buffer, [short]);
    buffer.release();
  }

  destroy(): undefined {
    const buffer = localCall(this, 'GPUBuffer', 'destroy') as BufferResource;
    buffer.release();
    buffer.isDestroyed = true;
    buffer.contents = undefined;
    buffer.session.record(operations.destroy, buffer, []);
  }
}

defineObjectBase(GPUBuffer, 'GPUBuffer');
defineInterface('GPUBuffer', GPUBuffer);

function mapAsync(
  buffer: BufferResource,
  mode: number,
  offset: number,
  size: number | undefined,
): Promise<undefined> {
  const command = [mode, offset, size];
  const { session } = buffer;
  if (buffer.pendingMap) {
    // Do not tell the host: by now it may have refused the first request, and would grant this one.
    throw new native.DOMException('GPUBuffer.mapAsync: the buffer is about to be mapped.', 'OperationError');
  }
  return new native.Promise((resolve, reject) => {
    const pending = { reject };
    // The host refuses to map a buffer that is mapped already. Until its reply comes, unmap ends this
    // request, too.
    buffer.await(pending);
    // If the program called unmap in the meantime, its promise was rejected then.
    const stillPending = () => {
      if (buffer.pendingMap !== pending) return false;
      buffer.pendingMap = undefined;
      return true;
    };
    const length = size ?? Math.max(0, buffer.size - offset);
    const parts = new ReadParts(length, buffer.takeMemory());
    const mapped = (bytes: Uint8Array): Uint8Array<ArrayBuffer> =>
      mode === GPUMapMode.WRITE
        ? contentsOf(buffer).slice(offset, offset + length)
        : (parts.whole() ?? bytes.slice());
    const answer = session.request(operations.mapAsync, buffer, command, {
      part: (bytes) => {
        if (buffer.pendingMap === pending) parts.add(bytes);
      },
      fulfilled: (bytes) => {
        if (mode !== GPUMapMode.WRITE) session.readBack();
        buffer.isProven = true;
        if (!stillPending()) return;
        try {
          buffer.map(new ActiveMapping(offset, mapped(bytes).buffer, mode === GPUMapMode.WRITE));
          resolve(undefined);
        } catch (error) {
          // Most likely there is no memory here, while the host has the buffer mapped.
          session.record(operations.unmap, buffer, [[]]);
          reject(error);
        }
      },
      rejected: (error) => {
        if (!stillPending()) return;
        reject(error === session.ended ? new native.DOMException(error.message, 'AbortError') : error);
      },
    });
    // The request could not even be sent.
    answer.catch((error: unknown) => {
      stillPending();
      reject(error);
    });
  });
}

function contentsOf(buffer: BufferResource): Uint8Array<ArrayBuffer> {
  buffer.contents ??= new Uint8Array(buffer.size);
  return buffer.contents as Uint8Array<ArrayBuffer>;
}

function bufferOf(self: unknown, member: string): BufferResource {
  return receiver(self, 'GPUBuffer', member) as BufferResource;
}
