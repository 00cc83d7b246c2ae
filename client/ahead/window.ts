import { type GPUBufferDescriptor, OPERATIONS } from '../../proto/gen/operations.js';
import { GPUBufferUsage, GPUMapMode } from '../../proto/gen/webgpu.js';
import type { Resource } from '../../proto/webidl/resource.js';
import type { Handle } from '../../proto/wire/handle.js';
import { LIMITS } from '../../proto/wire/limits.js';
import type { AnyOperation } from '../../proto/wire/operation.js';

/** What the client knows of a buffer. */
export interface BufferFacts extends Resource {
  readonly device: Handle | undefined;
  readonly size: number;
  readonly usage: number;
  readonly state: GPUBufferMapState;
  readonly isDestroyed: boolean;
  /** Whether the host has mapped it before, which it does with valid buffers alone. */
  readonly isProven: boolean;
}

/** Bytes of a buffer that the program reads. */
export interface Read {
  readonly kind: 'read';
  /** The id of the buffer that they come from. */
  readonly source: number;
  readonly offset: number;
  readonly size: number;
}

/**
 * Something that the program awaits behind another wait, with nothing in between that the client cannot answer for:
 * bytes; an error scope that was open before, or was opened since; or that the queue's work is done.
 */
export type Follower = Read | { readonly kind: 'outer' | 'inner' | 'done' };

interface Copy {
  readonly source: BufferFacts;
  readonly sourceOffset: number;
  readonly target: BufferFacts;
  readonly targetOffset: number;
  readonly size: number;
}

/** What a buffer for reading holds since a copy. */
interface Held {
  readonly source: number;
  /** Where the copy has put the source's byte 0. */
  readonly shift: number;
  readonly start: number;
  readonly end: number;
}

/** The buffers that programs read with: what is copied to them can be mapped, and nothing else. */
const READABLE: number = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;

const { GPUBuffer, GPUCommandEncoder, GPUDevice, GPUQueue } = OPERATIONS;

/**
 * Follows one device's commands from a wait on, for as long as the client can prove two things of each by what it
 * knows: that it is no error, and that it writes to no buffer but those that the program only reads with. So what
 * other buffers held at the wait they hold still, and no error scope has caught anything.
 *
 * docs/reads-ahead.md lists the commands, and what is proven of each.
 */
export class Window {
  readonly #device: number;
  /** Buffers for reading that were made since. */
  readonly #made = new Set<number>();
  /** The copies of encoders, and then of command buffers that were not submitted. They keep nobody alive. */
  readonly #copies = new WeakMap<object, Copy[]>();
  readonly #held = new Map<number, Held>();
  /** Error scopes that were opened since. */
  #scopes = 0;

  /** `device` is its id. */
  constructor(device: number) {
    this.#device = device;
  }

  /** How many error scopes were opened since. */
  get scopes(): number {
    return this.#scopes;
  }

  /** Takes a command that was recorded; `made` is what it makes. False where it cannot be answered for. */
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

  /** What a wait that is about to be recorded is for; undefined where it cannot be answered for. */
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
    // The same commands again would be an error.
    this.#copies.delete(commands);
    for (const { source, sourceOffset, target, targetOffset, size } of copies) {
      if (![source, target].every(({ state, isDestroyed }) => state === 'unmapped' && !isDestroyed))
        return false;
      const shift = targetOffset - sourceOffset;
      this.#held.set(target.id, { source: source.id, shift, start: targetOffset, end: targetOffset + size });
    }
    return true;
  }

  #read(buffer: BufferFacts, [mode, offset, given]: [number, number, number?]): Read | undefined {
    const held = this.#held.get(buffer.id);
    const size = given ?? buffer.size - offset;
    const isRead =
      held !== undefined &&
      mode === GPUMapMode.READ &&
      // It was unmapped until now: a mapped one stays so until it is refused.
      buffer.state === 'pending' &&
      !buffer.isDestroyed &&
      offset % 8 === 0 &&
      size % 4 === 0 &&
      size > 0 &&
      offset >= held.start &&
      offset + size <= held.end;
    return isRead ? { kind: 'read', source: held.source, offset: offset - held.shift, size } : undefined;
  }

  /** Ids are a session's own, so that a buffer of another one may have the same. */
  #isOurs({ owner, device }: BufferFacts, encoder: Handle): boolean {
    return owner === encoder.owner && device?.id === this.#device;
  }

  #isReadable(buffer: BufferFacts, encoder: Handle): boolean {
    const isValid = this.#made.has(buffer.id) || buffer.isProven;
    return isValid && buffer.usage === READABLE && this.#isOurs(buffer, encoder);
  }
}
