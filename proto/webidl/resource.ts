import { Handle } from '../wire/handle.js';

/**
 * The object behind a WebGPU wrapper on the client: the handle by which the host knows it, and its interface. Converters yield resources where the API takes wrappers.
 */
export abstract class Resource extends Handle {
  abstract readonly kind: string;
}

/**
 * Stores a resource in a private field of an object that already exists: a constructor that returns
 * another object gives that object the fields of the derived class. So one brand serves plain
 * wrappers and wrappers that are EventTargets, and no program can forge it.
 */
class Bearer {
  constructor(target: object) {
    // biome-ignore lint/correctness/noConstructorReturn: the field is meant for `target`.
    return target;
  }
}

class Brand extends Bearer {
  readonly #resource: Resource;

  constructor(target: object, resource: Resource) {
    super(target);
    this.#resource = resource;
  }

  static of(value: unknown): Resource | undefined {
    return typeof value === 'object' && value !== null && #resource in value ? value.#resource : undefined;
  }
}

/** Makes `wrapper` the bearer of `resource`, once and for good. */
export function bear(wrapper: object, resource: Resource): void {
  new Brand(wrapper, resource);
}

/** The resource behind a wrapper, or undefined where `value` is none of ours. */
export const resourceOf = Brand.of;
