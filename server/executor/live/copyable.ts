import { GPUBufferUsage, GPUTextureUsage } from '../../../proto/gen/webgpu.js';
import type { AnyOperation } from '../../../proto/wire/operation.js';

type Resource = GPUBuffer | GPUTexture;

/** All usages of a buffer that WebGPU has. */
const BUFFER_USAGES: number = Object.values(GPUBufferUsage).reduce((all, each) => all | each, 0);

/** The usages of a texture that go with copies. That of an attachment of a single pass does not. */
const TEXTURE_USAGES: number =
  Object.values(GPUTextureUsage).reduce((all, each) => all | each, 0) & ~GPUTextureUsage.TRANSIENT_ATTACHMENT;

/** To read a texture, and to fill it again. */
const TEXTURE_COPIES: number = GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST;

/** A place in a command's arguments that names a resource, and the usage that WebGPU demands of it there. */
interface Place {
  readonly usage: number;
  /** The resource's holder among the arguments, and its key. */
  find(args: readonly unknown[]): { holder: Record<string | number, unknown>; key: string | number };
}

const BUFFER_SOURCE: number = GPUBufferUsage.COPY_SRC;
const TEXTURE_SOURCE: number = GPUTextureUsage.COPY_SRC;
const TEXTURE_TARGET: number = GPUTextureUsage.COPY_DST;

const argument = (usage: number, key: number): Place => ({
  usage,
  find: (args) => ({ holder: args as unknown as Record<number, unknown>, key }),
});
const member = (usage: number, at: number, key: string): Place => ({
  usage,
  find: (args) => ({ holder: args[at] as Record<string, unknown>, key }),
});

/** By interface and member: the commands that read or write a resource by a copy. */
const PLACES: Readonly<Record<string, readonly Place[]>> = {
  'GPUCommandEncoder.copyBufferToBuffer': [argument(BUFFER_SOURCE, 0)],
  'GPUCommandEncoder.copyBufferToTexture': [
    member(BUFFER_SOURCE, 0, 'buffer'),
    member(TEXTURE_TARGET, 1, 'texture'),
  ],
  'GPUCommandEncoder.copyTextureToBuffer': [member(TEXTURE_SOURCE, 0, 'texture')],
  'GPUCommandEncoder.copyTextureToTexture': [
    member(TEXTURE_SOURCE, 0, 'texture'),
    member(TEXTURE_TARGET, 1, 'texture'),
  ],
  'GPUQueue.writeTexture': [member(TEXTURE_TARGET, 0, 'texture')],
  'GPUQueue.beginWriteTexture': [member(TEXTURE_TARGET, 0, 'texture')],
  'GPUQueue.copyExternalImageToTexture': [member(TEXTURE_TARGET, 0, 'texture')],
  'FarlightRange.send': [argument(BUFFER_SOURCE, 1)],
};

/**
 * Makes resources that can be read and filled again. Where a program has left out the usages that this needs, they are
 * added. A command that WebGPU refuses for the lack of such a usage is still refused: it gets an invalid object in the
 * resource's place.
 */
export class Copyable {
  /** The usage that the program asked for, of each resource that has another. */
  readonly #asked = new WeakMap<object, number>();
  /** By opcode. */
  readonly #looks: (boolean | undefined)[] = [];
  readonly #places: (readonly Place[] | undefined)[] = [];

  /** Makes a buffer from a descriptor of the program, with COPY_SRC where that is allowed. */
  buffer(descriptor: GPUBufferDescriptor, make: (descriptor: GPUBufferDescriptor) => GPUBuffer): GPUBuffer {
    const { usage } = descriptor;
    const isWrong = usage === 0 || (usage & ~BUFFER_USAGES) !== 0;
    return this.#make(
      descriptor,
      isWrong || usage & GPUBufferUsage.MAP_READ ? usage : usage | BUFFER_SOURCE,
      make,
    );
  }

  /** Makes a texture from a descriptor of the program, with COPY_SRC and COPY_DST where that is allowed. */
  texture(
    descriptor: GPUTextureDescriptor,
    make: (descriptor: GPUTextureDescriptor) => GPUTexture,
  ): GPUTexture {
    const { usage } = descriptor;
    const isWrong = usage === 0 || (usage & ~TEXTURE_USAGES) !== 0;
    return this.#make(descriptor, isWrong ? usage : usage | TEXTURE_COPIES, make);
  }

  /** Whether a command of this kind may be refused. Most are not: this is asked for each. */
  looksAt({ opcode, interface: name, member: method }: AnyOperation): boolean {
    const known = this.#looks[opcode];
    if (known !== undefined) return known;
    this.#looks[opcode] = method === 'createView' || `${name}.${method}` in PLACES;
    return this.#looks[opcode] === true;
  }

  /**
   * Looks at the filled arguments of a command. An object of `invalid` takes the place of a resource for which the
   * program has not asked for the usage that the command demands.
   */
  check(
    { opcode, interface: name, member: method }: AnyOperation,
    args: readonly unknown[],
    invalid: (kind: string) => object,
  ): void {
    if (!(opcode in this.#places)) this.#places[opcode] = PLACES[`${name}.${method}`];
    for (const { usage, find } of this.#places[opcode] ?? []) {
      const { holder, key } = find(args);
      const resource = holder[key] as Resource;
      const asked = this.#asked.get(resource);
      if (asked !== undefined && (asked & usage) === 0)
        holder[key] = invalid('size' in resource ? 'GPUBuffer' : 'GPUTexture');
    }
  }

  /** Whether a view of a texture may not have these usages, as the program asked for the texture. */
  refusesView(texture: object, { usage = 0 }: { usage?: number } = {}): boolean {
    const asked = this.#asked.get(texture);
    return asked !== undefined && (usage & ~asked) !== 0;
  }

  /** The usage that the program asked for. */
  usageOf(resource: Resource): number {
    return this.#asked.get(resource) ?? resource.usage;
  }

  #make<D extends { usage: number }, R extends object>(descriptor: D, usage: number, make: (d: D) => R): R {
    if (usage === descriptor.usage) return make(descriptor);
    const resource = make({ ...descriptor, usage });
    this.#asked.set(resource, descriptor.usage);
    return resource;
  }
}
