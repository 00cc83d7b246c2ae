import { type GPUBufferDescriptor, OPERATIONS } from '../../proto/gen/operations.js';
import { GPUBufferUsage, GPUMapMode } from '../../proto/gen/webgpu.js';
import type { Resource } from '../../proto/webidl/resource.js';
import type { Handle } from '../../proto/wire/handle.js';
import { LIMITS } from '../../proto/wire/limits.js';
import type { AnyOperation } from '../../proto/wire/operation.js';

/** The facts that the client knows of a buffer. */
export interface BufferFacts extends Resource {
  readonly device: Handle | undefined;
  readonly size: number;
  readonly usage: number;
  readonly state: GPUBufferMapState;
  readonly isDestroyed: boolean;
  /** Whether the host has mapped it before. It maps only valid buffers. */
  readonly isProven: boolean;
}

/** Bytes of a buffer that the program reads. */
export interface Read {
  readonly kind: 'read';
  /** The id of the buffer that the bytes come from. */
  readonly source: number;
  readonly offset: number;
  readonly size: number;
}

/**
 * A wait after another wait, where the client can answer for all commands between them. It awaits bytes (`read`), an
 * error scope that was open before (`outer`) or was opened since (`inner`), or the end of the queue's work (`done`).
 */
export type Follower = Read | { readonly kind: 'outer' | 'inner' | 'done' };

interface Copy {
  readonly source: BufferFacts;
  readonly sourceOffset: number;
  readonly target: BufferFacts;
  readonly targetOffset: number;
  readonly size: number;
}

/** The bytes that a copy has put into a buffer for reading. */
interface Copied {
  readonly source: number;
  /** Where the copy has put the source's byte 0. */
  readonly shift: number;
  readonly start: number;
  readonly end: number;
}

/** The usage of buffers that programs read with: copies write to them, and mappings read them. */
const READABLE: number = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;

const { GPUBuffer, GPUCommandEncoder, GPUDevice, GPUQueue } = OPERATIONS;

/**
 * Follows one device's commands after a wait, while the client can prove two things of each command. The command is no
 * error. It writes only to buffers for reading. So all other buffers still have the bytes that they had at the wait, and
 * no error scope has caught an error.
 *
 * docs/reads-ahead.md lists the commands, and what is proven of each.
 */
export class Proof {
  readonly #device: number;
  /** Buffers for reading that were created since the wait. */
  readonly #made = new Set<number>();
  /** The copies in encoders, and then in command buffers until they are submitted. They keep no object alive. */
  readonly #copies = new WeakMap<object, Copy[]>();
  readonly #copied = new Map<number, Copied>();
  /** Error scopes that were opened since the wait. */
  #scopes = 0;

  /** `device` is the id of the device. */
  constructor(device: number) {
    this.#device = device;
  }

  /** How many error scopes were opened since the wait and are open. */
  get scopes(): number {
    return this.#scopes;
  }

  /** Takes a recorded command. `made` is the object that it creates. False if the client can prove nothing of it. */
  command(
    operation: AnyOperation,
    self: Handle,
    args: readonly unknown[],
    made: Handle | undefined,
  ): boolean {
    switch (operation) {
      case GPUBuffer.destroy:
        return true;
      case GPUBuffer.unmap:
        return (self as BufferFacts).usage === READABLE;
      case GPUDevice.createBuffer:
        return this.#make(args[0] as GPUBufferDescriptor<unknown>, made as Handle);
      case GPUDevice.createCommandEncoder:
        this.#copies.set(made as Handle, []);
        return true;
      case GPUCommandEncoder.copyBufferToBuffer:
        return this.#copy(self, args as never);
      case GPUCommandEncoder.finish:
        return this.#move(self, made as Handle);
      case GPUQueue.submit:
        return (args[0] as Handle[]).every((commands) => this.#submit(commands));
      case GPUDevice.pushErrorScope:
        this.#scopes += 1;
        return true;
      default:
        return false;
    }
  }

  /** The follower that this wait is, before it is recorded. Undefined if the client cannot answer for it. */
  wait(operation: AnyOperation, self: Handle, args: readonly unknown[]): Follower | undefined {
    switch (operation) {
      case GPUBuffer.mapAsync:
        return this.#read(self as BufferFacts, args as never);
      case GPUDevice.popErrorScope:
        if (this.#scopes === 0) return { kind: 'outer' };
        this.#scopes -= 1;
        return { kind: 'inner' };
      case GPUQueue.onSubmittedWorkDone:
        return { kind: 'done' };
      default:
        return undefined;
    }
  }

  #make({ size, usage, mappedAtCreation }: GPUBufferDescriptor<unknown>, made: Handle): boolean {
    if (usage !== READABLE || mappedAtCreation || size > LIMITS.aheadBytes) return false;
    this.#made.add(made.id);
    return true;
  }

  #copy(
    encoder: Handle,
    [source, sourceOffset, target, targetOffset, given]: [BufferFacts, number, BufferFacts, number, number?],
  ): boolean {
    const size = given ?? source.size - sourceOffset;
    const copy = { source, sourceOffset, target, targetOffset, size };
    const isCopy =
      this.#isOurs(source, encoder) &&
      (source.usage & GPUBufferUsage.COPY_SRC) !== 0 &&
      this.#isReadable(target, encoder) &&
      size > 0 &&
      [sourceOffset, targetOffset, size].every((number) => number % 4 === 0) &&
      sourceOffset + size <= source.size &&
      targetOffset + size <= target.size;
    const copies = this.#copies.get(encoder);
    if (!isCopy || !copies) return false;
    copies.push(copy);
    return true;
  }

  #move(encoder: Handle, commands: Handle): boolean {
    const copies = this.#copies.get(encoder);
    if (!copies) return false;
    this.#copies.delete(encoder);
    this.#copies.set(commands, copies);
    return true;
  }

  #submit(commands: Handle): boolean {
    const copies = this.#copies.get(commands);
    if (!copies) return false;
    // A second submit of the same commands would be an error.
    this.#copies.delete(commands);
    for (const { source, sourceOffset, target, targetOffset, size } of copies) {
      if (![source, target].every(({ state, isDestroyed }) => state === 'unmapped' && !isDestroyed))
        return false;
      const shift = targetOffset - sourceOffset;
      this.#copied.set(target.id, {
        source: source.id,
        shift,
        start: targetOffset,
        end: targetOffset + size,
      });
    }
    return true;
  }

  #read(buffer: BufferFacts, [mode, offset, given]: [number, number, number?]): Read | undefined {
    const copied = this.#copied.get(buffer.id);
    const size = given ?? buffer.size - offset;
    const isRead =
      copied !== undefined &&
      mode === GPUMapMode.READ &&
      // The buffer was unmapped until now: a mapped buffer stays mapped until the request is refused.
      buffer.state === 'pending' &&
      !buffer.isDestroyed &&
      offset % 8 === 0 &&
      size % 4 === 0 &&
      size > 0 &&
      offset >= copied.start &&
      offset + size <= copied.end;
    return isRead ? { kind: 'read', source: copied.source, offset: offset - copied.shift, size } : undefined;
  }

  /** Ids belong to a session, so a buffer of another session may have the same id. */
  #isOurs({ owner, device }: BufferFacts, encoder: Handle): boolean {
    return owner === encoder.owner && device?.id === this.#device;
  }

  #isReadable(buffer: BufferFacts, encoder: Handle): boolean {
    const isValid = this.#made.has(buffer.id) || buffer.isProven;
    return isValid && buffer.usage === READABLE && this.#isOurs(buffer, encoder);
  }
}
