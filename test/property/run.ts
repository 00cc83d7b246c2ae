import type { Name } from './operations.js';

/** The objects of a random program, by kind. Operations name them by counting back from the latest. */
export interface Slots {
  buffer: GPUBuffer;
  indirect: GPUBuffer;
  texture: GPUTexture;
  view: GPUTextureView;
  sampler: GPUSampler;
  querySet: GPUQuerySet;
  module: GPUShaderModule;
  groupLayout: GPUBindGroupLayout;
  pipelineLayout: GPUPipelineLayout;
  pipeline: GPUComputePipeline | GPURenderPipeline;
  bindGroup: GPUBindGroup;
  encoder: GPUCommandEncoder;
  pass: GPUComputePassEncoder | GPURenderPassEncoder | GPURenderBundleEncoder;
  bundle: GPURenderBundle;
  commands: GPUCommandBuffer;
}

export type Kind = keyof Slots;

/** There is no object of the needed kind. The operation is skipped, on each side alike. */
export class Missing extends Error {}

/** All that a program let its observer see. Equal programs show the same. */
export interface Observations {
  /** The immediate result of each operation, in program order: exceptions, states, contents. */
  readonly calls: string[];
  /** The outcome of each promise, in program order. */
  readonly promises: readonly string[];
  /** Promises that settled in another order than the specification demands. */
  readonly misordered: readonly string[];
  /** Errors that no scope caught, in order. The time of each report differs on local Dawn. */
  readonly uncaptured: string[];
}

/** What decides the order of a promise: its device, and which of the two operations it comes from. */
interface Order {
  device: GPUDevice;
  of: 'map' | 'done';
}

/** One random program under way. */
export class Run implements Observations {
  readonly calls: string[] = [];
  readonly #settled: { at: number; text: string; order?: Order }[] = [];
  readonly uncaptured: string[] = [];
  readonly devices: readonly GPUDevice[];
  /** Open error scopes, by device. */
  readonly scopes: number[];
  /** Ranges that the program was given. */
  readonly ranges: ArrayBuffer[] = [];
  /** The mode of each buffer's current mapping. */
  readonly modes = new WeakMap<GPUBuffer, number>();
  /** How many objects from promises are still to come. */
  making = 0;
  /** Devices that the program has destroyed. */
  readonly lost = new Set<GPUDevice>();
  readonly #slots: { [K in Kind]?: Slots[K][] } = {};
  readonly #owners = new WeakMap<object, GPUDevice>();
  readonly #outstanding: Promise<void>[] = [];
  /** Objects from promises. They take their slots in program order, when all promises have settled. */
  #arrived: { at: number; kind: Kind; object: object }[] = [];
  #at = 0;
  readonly #nameAt: Name[] = [];

  constructor(devices: readonly GPUDevice[]) {
    this.devices = devices;
    this.scopes = devices.map(() => 0);
    devices.forEach((device, index) => {
      device.addEventListener('uncapturederror', (event) => {
        event.preventDefault();
        this.uncaptured.push(`device ${index}: ${describe((event as GPUUncapturedErrorEvent).error)}`);
      });
    });
  }

  begin(at: number, name: Name): void {
    this.#at = at;
    this.#nameAt[at] = name;
  }

  note(what: string): void {
    this.calls.push(`${this.#at} ${this.#nameAt[this.#at]}: ${what}`);
  }

  device(index: number): GPUDevice {
    return this.devices[index] as GPUDevice;
  }

  /** The object `ref` places back from the latest. Throws Missing if there is none. */
  pick<K extends Kind>(kind: K, ref: number): Slots[K] {
    const made = this.all(kind);
    if (made.length === 0) throw new Missing(kind);
    return made[made.length - 1 - (ref % made.length)] as Slots[K];
  }

  all<K extends Kind>(kind: K): readonly Slots[K][] {
    return (this.#slots[kind] as Slots[K][] | undefined) ?? [];
  }

  /** A label by which messages name the next object of the kind. */
  label(kind: Kind): string {
    return `${kind} ${this.#at}`;
  }

  keep<K extends Kind>(kind: K, object: Slots[K], owner?: GPUDevice): void {
    this.#slots[kind] ??= [];
    (this.#slots[kind] as Slots[K][]).push(object);
    if (owner) this.#owners.set(object, owner);
  }

  ownerOf(object: object): GPUDevice {
    return this.#owners.get(object) ?? this.device(0);
  }

  get promises(): string[] {
    return [...this.#settled].sort((a, b) => a.at - b.at).map(({ text }) => text);
  }

  /**
   * https://gpuweb.github.io/gpuweb/#promise-ordering: mappings and onSubmittedWorkDone that were asked for
   * before an onSubmittedWorkDone settle before it. No other order is promised.
   */
  get misordered(): string[] {
    return this.#settled.flatMap((late, index) =>
      this.#settled
        .slice(0, index)
        .filter(
          (early) =>
            early.order?.of === 'done' && early.order.device === late.order?.device && late.at < early.at,
        )
        .map((early) => `${late.text}, after ${early.text}`),
    );
  }

  /** Notes how a promise settles, and when in comparison with others. */
  watch<T>(promise: Promise<T>, value: (fulfilled: T) => unknown = () => 'fulfilled', order?: Order): void {
    const at = this.#at;
    const settled = (how: unknown) =>
      void this.#settled.push({ at, text: `${at} ${this.#nameAt[at]}: ${how}`, ...(order && { order }) });
    this.#outstanding.push(
      promise.then(
        (fulfilled) => settled(value(fulfilled)),
        (reason) => settled(`rejected with ${describeReason(reason)}`),
      ),
    );
  }

  /** Watches a promise of an object, and keeps the object. */
  watchObject<K extends Kind>(kind: K, promise: Promise<Slots[K]>): void {
    const at = this.#at;
    this.making += 1;
    this.watch(promise, (object) => {
      this.#arrived.push({ at, kind, object });
      return 'made';
    });
  }

  /** Waits until no promise is outstanding. */
  async settle(): Promise<void> {
    await Promise.all(this.#outstanding.splice(0));
    for (const { kind, object } of this.#arrived.sort((a, b) => a.at - b.at))
      this.keep(kind, object as never);
    this.#arrived = [];
    this.making = 0;
    for (const buffer of this.all('buffer')) this.note(`${buffer.label} is ${buffer.mapState}`);
  }
}

/** Of several bindings that do not fit a layout, Dawn names one by the order of a hash table. */
const LAYOUT = "While validating the entry-point's compatibility";
/** After a turn of the program a map may be done or not: only its promise tells the program. */
const PENDING = 'used in submit while pending map';
const MAPPED = 'used in submit while mapped';

export function describe(error: GPUError | null): string {
  if (!error) return 'null';
  const { message } = error;
  const words = message.includes(LAYOUT) ? LAYOUT : message.replace(PENDING, MAPPED);
  return `${error.constructor.name}: ${words}`;
}

/** An exception's message is free, except that of a pipeline, which comes from the compiler. */
function describeReason(reason: unknown): string {
  const { name, message, reason: why } = reason as { name: string; message: string; reason?: string };
  return why ? `${name} (${why}): ${message.includes(LAYOUT) ? LAYOUT : message}` : name;
}
