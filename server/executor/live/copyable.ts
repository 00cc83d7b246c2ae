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
/** The same by shaders. */
const SHADER_ACCESS: number = GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.RENDER_ATTACHMENT;

/** The holder of a value among a command's arguments, and its key there. */
interface Spot {
  readonly holder: Record<string | number, unknown>;
  readonly key: string | number;
}

/** Places in a command's arguments that may name a resource, and the usage that WebGPU demands of it there. */
interface Place {
  readonly usage: number;
  find(args: readonly unknown[]): readonly Spot[];
}

const BUFFER_SOURCE: number = GPUBufferUsage.COPY_SRC;
const BUFFER_TARGET: number = GPUBufferUsage.COPY_DST;
const TEXTURE_SOURCE: number = GPUTextureUsage.COPY_SRC;
const TEXTURE_TARGET: number = GPUTextureUsage.COPY_DST;

const argument = (usage: number, key: number): Place => ({
  usage,
  find: (args) => [{ holder: args as unknown as Record<number, unknown>, key }],
});
const member = (usage: number, at: number, key: string): Place => ({
  usage,
  find: (args) => [{ holder: args[at] as Record<string, unknown>, key }],
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
 * The commands that take a texture in place of its view, as the others that need usages for shaders do not. They are
 * frequent, and few programs have textures that got such usages.
 */
const SHADER_PLACES: Readonly<Record<string, readonly Place[]>> = {
  'GPUDevice.createBindGroup': [
    {
      usage: GPUTextureUsage.TEXTURE_BINDING,
      find: ([descriptor]) =>
        (descriptor as { entries: { resource: object }[] }).entries
          .filter(({ resource }) => !('size' in resource))
          .map((holder) => ({ holder, key: 'resource' })),
    },
  ],
  'GPUCommandEncoder.beginRenderPass': [
    {
      usage: GPUTextureUsage.RENDER_ATTACHMENT,
      find: ([descriptor]) => {
        const { depthStencilAttachment: holder } = descriptor as { depthStencilAttachment?: Spot['holder'] };
        return holder ? [{ holder, key: 'view' }] : [];
      },
    },
  ],
};

/** The commands that write to a buffer. They are frequent, and few sessions come back with buffers that got this usage. */
const TARGET_PLACES: Readonly<Record<string, readonly Place[]>> = {
  'GPUCommandEncoder.clearBuffer': [argument(BUFFER_TARGET, 0)],
  'GPUCommandEncoder.copyBufferToBuffer': [argument(BUFFER_TARGET, 2)],
  'GPUCommandEncoder.copyTextureToBuffer': [member(BUFFER_TARGET, 1, 'buffer')],
  'GPUQueue.writeBuffer': [argument(BUFFER_TARGET, 0)],
  'GPUQueue.beginWriteBuffer': [argument(BUFFER_TARGET, 0)],
  'FarlightRange.receive': [argument(BUFFER_TARGET, 1)],
};

/**
 * Whether shaders read and fill a texture, because copies cannot: one with several samples, or one with depth. Stencil
 * has copies, and with several samples nothing.
 */
export function needsShaders({ format, sampleCount = 1 }: { format: string; sampleCount?: number }): boolean {
  if (sampleCount > 1) return !format.includes('stencil');
  return format.startsWith('depth') && format !== 'depth16unorm';
}

/**
 * Makes resources that can be read and filled again. Where a program has left out the usages that this needs, they are
 * added. A command that WebGPU refuses for the lack of such a usage is still refused: it gets an invalid object in the
 * resource's place.
 */
export class Copyable {
  /** The usage that the program asked for, of each resource that has another. */
  readonly #asked = new WeakMap<object, number>();
  /** Whether a texture has usages for shaders that the program has not asked for. */
  #addsShaderAccess = false;
  /** Whether a buffer has COPY_DST that the program has not asked for. */
  #addsTargets = false;
  /** By opcode. */
  #looks: (boolean | undefined)[] = [];
  readonly #places: (readonly Place[] | undefined)[] = [];

  /** Makes a buffer from a descriptor of the program, with COPY_SRC where that is allowed. */
  buffer(descriptor: GPUBufferDescriptor, make: (descriptor: GPUBufferDescriptor) => GPUBuffer): GPUBuffer {
    return this.#make(descriptor, withSource(descriptor), make);
  }

  /** As `buffer`, with COPY_DST, where that is allowed, so that the buffer can be filled. */
  bufferToFill(
    descriptor: GPUBufferDescriptor,
    make: (descriptor: GPUBufferDescriptor) => GPUBuffer,
  ): GPUBuffer {
    const { usage } = descriptor;
    if (usage & (GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_WRITE)) return this.buffer(descriptor, make);
    if (!this.#addsTargets) {
      this.#addsTargets = true;
      this.#looks = [];
    }
    return this.#make(descriptor, withSource(descriptor) | BUFFER_TARGET, make);
  }

  /** Makes a texture from a descriptor of the program, with the usages to read and fill it, where they are allowed. */
  texture(
    descriptor: GPUTextureDescriptor,
    make: (descriptor: GPUTextureDescriptor) => GPUTexture,
  ): GPUTexture {
    const { usage, sampleCount = 1 } = descriptor;
    const isWrong = usage === 0 || (usage & ~TEXTURE_USAGES) !== 0;
    // With several samples a texture without RENDER_ATTACHMENT is an error.
    const forShaders = sampleCount > 1 ? GPUTextureUsage.TEXTURE_BINDING : SHADER_ACCESS;
    const added = TEXTURE_COPIES | (needsShaders(descriptor) ? forShaders : 0);
    if (!isWrong && (added & ~usage & SHADER_ACCESS) !== 0 && !this.#addsShaderAccess) {
      this.#addsShaderAccess = true;
      this.#looks = [];
    }
    return this.#make(descriptor, isWrong ? usage : usage | added, make);
  }

  /** Whether a command of this kind may be refused. Most are not: this is asked for each. */
  looksAt({ opcode, interface: name, member: method }: AnyOperation): boolean {
    const known = this.#looks[opcode];
    if (known !== undefined) return known;
    const key = `${name}.${method}`;
    const looks =
      key in PLACES ||
      (this.#addsShaderAccess && key in SHADER_PLACES) ||
      (this.#addsTargets && key in TARGET_PLACES);
    this.#looks[opcode] = method === 'createView' || looks;
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
    if (!(opcode in this.#places)) {
      const key = `${name}.${method}`;
      this.#places[opcode] = [PLACES, SHADER_PLACES, TARGET_PLACES].flatMap((places) => places[key] ?? []);
    }
    for (const { usage, find } of this.#places[opcode] ?? []) {
      for (const { holder, key } of find(args)) {
        const resource = holder[key] as Resource;
        const asked = this.#asked.get(resource);
        if (asked !== undefined && (asked & usage) === 0 && (resource.usage & usage) !== 0)
          holder[key] = invalid('size' in resource ? 'GPUBuffer' : 'GPUTexture');
      }
    }
  }

  /** Whether a view of a texture may not have these usages, as the program asked for the texture. */
  refusesView(texture: object, { usage = 0 }: { usage?: number } = {}): boolean {
    const asked = this.#asked.get(texture);
    return asked !== undefined && (usage & ~asked) !== 0;
  }

  /** The arguments of a `createView`, with which the view has no usage for shaders that the program has not asked for. */
  viewArgs(texture: object, args: unknown[]): unknown[] {
    const asked = this.#asked.get(texture);
    if (asked === undefined || ((texture as GPUTexture).usage & ~asked & SHADER_ACCESS) === 0) return args;
    const [{ usage, ...descriptor } = {}] = args as [GPUTextureViewDescriptor?];
    return [{ ...descriptor, usage: usage || asked }];
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

/** The usage of a buffer's descriptor, with COPY_SRC where that is allowed. */
function withSource({ usage }: GPUBufferDescriptor): number {
  const isWrong = usage === 0 || (usage & ~BUFFER_USAGES) !== 0;
  return isWrong || usage & GPUBufferUsage.MAP_READ ? usage : usage | BUFFER_SOURCE;
}
