import type { FarlightAdapterInfo } from '../../../proto/gen/operations.js';
import { LIMIT_NAMES } from '../../../proto/gen/webgpu.js';
import { defineInterface, INTERNAL, illegal } from '../interface.js';

/** A read-only setlike of strings (https://webidl.spec.whatwg.org/#idl-setlike). */
class StringSet {
  readonly #values: Set<string>;

  /** `values` is not copied: values that its owner adds later are seen here. */
  constructor(token?: unknown, values?: Set<string>) {
    if (token !== INTERNAL) illegal();
    this.#values = values ?? new Set();
  }

  get size(): number {
    return this.#values.size;
  }

  has(value: string): boolean {
    return this.#values.has(String(value));
  }

  forEach(callback: (value: string, key: string, set: this) => void, thisArg?: unknown): void {
    for (const value of this.#values) callback.call(thisArg, value, value, this);
  }

  entries(): SetIterator<[string, string]> {
    return this.#values.entries();
  }

  values(): SetIterator<string> {
    return this.#values.values();
  }
}

/** WebIDL demands that a setlike's keys, values and @@iterator are one function, on the interface itself. */
function defineSetlike(name: string, interfaceClass: typeof StringSet): void {
  const members = Object.getOwnPropertyDescriptors(StringSet.prototype) as Record<string, PropertyDescriptor>;
  // Only the callback is required.
  Object.defineProperty(StringSet.prototype.forEach, 'length', { value: 1 });
  for (const key of ['size', 'has', 'forEach', 'entries', 'values']) {
    Object.defineProperty(interfaceClass.prototype, key, members[key] as PropertyDescriptor);
  }
  const { values } = StringSet.prototype;
  Object.defineProperty(interfaceClass.prototype, 'keys', {
    value: values,
    writable: true,
    configurable: true,
  });
  Object.defineProperty(interfaceClass.prototype, Symbol.iterator, {
    value: values,
    writable: true,
    configurable: true,
  });
  defineInterface(name, interfaceClass);
}

export class GPUSupportedFeatures extends StringSet {}
export class WGSLLanguageFeatures extends StringSet {}
defineSetlike('GPUSupportedFeatures', GPUSupportedFeatures);
defineSetlike('WGSLLanguageFeatures', WGSLLanguageFeatures);

/** https://gpuweb.github.io/gpuweb/#gpusupportedlimits; its members are getters of the prototype. */
export class GPUSupportedLimits {
  readonly #values: readonly number[];

  /** `values` are in the order of LIMIT_NAMES. */
  constructor(token?: unknown, values?: readonly number[]) {
    if (token !== INTERNAL) illegal();
    this.#values = values ?? [];
  }

  static {
    for (const [index, name] of LIMIT_NAMES.entries()) {
      Object.defineProperty(GPUSupportedLimits.prototype, name, {
        get(this: GPUSupportedLimits): number | undefined {
          return this.#values[index];
        },
        configurable: true,
      });
    }
    defineInterface('GPUSupportedLimits', GPUSupportedLimits);
  }
}

/** https://gpuweb.github.io/gpuweb/#gpuadapterinfo */
export class GPUAdapterInfo {
  readonly #info: FarlightAdapterInfo<never>;

  constructor(token?: unknown, info?: FarlightAdapterInfo<never>) {
    if (token !== INTERNAL || info === undefined) illegal();
    this.#info = info;
  }

  get vendor(): string {
    return this.#info.vendor;
  }

  get architecture(): string {
    return this.#info.architecture;
  }

  get device(): string {
    return this.#info.device;
  }

  get description(): string {
    return this.#info.description;
  }

  get subgroupMinSize(): number {
    return this.#info.subgroupMinSize;
  }

  get subgroupMaxSize(): number {
    return this.#info.subgroupMaxSize;
  }

  get isFallbackAdapter(): boolean {
    return this.#info.isFallbackAdapter;
  }
}

defineInterface('GPUAdapterInfo', GPUAdapterInfo);
