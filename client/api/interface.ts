import { native } from '../../link/machine/globals.js';
import { OPERATIONS } from '../../proto/gen/operations.js';
import { toUSVString } from '../../proto/webidl/converters.js';
import { bear, resourceOf } from '../../proto/webidl/resource.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import { ClientResource } from '../session/client-resource.js';

/**
 * Only this package has this symbol. With it, our code constructs classes that a program must not construct.
 */
export const INTERNAL = Symbol('farlight internal');

export function illegal(): never {
  throw new TypeError('Illegal constructor');
}

// biome-ignore lint/suspicious/noExplicitAny: any class is an interface object.
type Class = abstract new (...args: any[]) => object;

const classes = new Map<string, Class>();

/** The classes of all defined interfaces, by name. */
export function interfaceClasses(): ReadonlyMap<string, Class> {
  return classes;
}

/**
 * Gives a class the shape that WebIDL demands: enumerable members, a string tag, and function lengths as in
 * the IDL. It also installs the regular rows of the surface, whose methods follow from the IDL.
 */
export function defineInterface(name: string, interfaceClass: Class): void {
  classes.set(name, interfaceClass);
  const prototype: object = interfaceClass.prototype;
  const rows: Readonly<Record<string, AnyOperation>> =
    (OPERATIONS as Record<string, Record<string, AnyOperation>>)[name] ?? {};
  for (const operation of Object.values(rows)) {
    if (operation.regular)
      Object.defineProperty(prototype, operation.member, {
        value: regularMethod(operation),
        writable: true,
        configurable: true,
      });
  }
  for (const key of Object.getOwnPropertyNames(prototype)) {
    const property = Object.getOwnPropertyDescriptor(prototype, key);
    if (key === 'constructor' || !property) continue;
    const row = Object.hasOwn(rows, key) ? rows[key] : undefined;
    if (row && typeof property.value === 'function') {
      Object.defineProperty(property.value, 'length', { value: row.length, configurable: true });
    }
    Object.defineProperty(prototype, key, { ...property, enumerable: true });
  }
  Object.defineProperty(prototype, Symbol.toStringTag, { value: name, configurable: true });
  // A program's bundler may have shortened the name.
  Object.defineProperty(interfaceClass, 'name', { value: name, configurable: true });
}

/** Defines the mixin GPUObjectBase: `label` changes here at once, and on the host in its turn. */
export function defineObjectBase(interfaceClass: Class, name: string): void {
  Object.defineProperty(interfaceClass.prototype, 'label', {
    get(this: unknown): string {
      return receiver(this, name, 'label').label;
    },
    set(this: unknown, value: unknown) {
      const resource = receiver(this, name, 'label');
      const label = toUSVString(value, `${name}.label`);
      resource.label = label;
      resource.session.record(OPERATIONS.FarlightSession.setLabel, resource.session.root, [
        resource.id,
        label,
      ]);
    },
    configurable: true,
    enumerable: true,
  });
}

/** The brand check of every member: behind `this` there must be a resource of that interface. */
export function receiver(self: unknown, name: string, member: string): ClientResource {
  const resource = resourceOf(self);
  if (!(resource instanceof ClientResource) || resource.kind !== name) {
    throw new TypeError(`${name}.${member} was called on an object that is not a ${name}`);
  }
  return resource;
}

/**
 * The brand check of an operation that the client answers by itself. It counts the call as answered locally.
 */
export function localCall(self: unknown, name: string, member: string): ClientResource {
  const resource = receiver(self, name, member);
  resource.session.countLocal();
  return resource;
}

/** The brand check of an operation whose promise settles with the host's reply. */
export function awaitedCall(self: unknown, name: string, member: string): ClientResource {
  const resource = receiver(self, name, member);
  resource.session.countAwaited();
  return resource;
}

/** Makes a wrapper of the resource's interface. From here on the wrapper keeps the handle alive. */
export function wrap<T extends object>(resource: ClientResource): T {
  const interfaceClass = classes.get(resource.kind);
  const wrapper = Object.create(interfaceClass?.prototype ?? null);
  bear(wrapper, resource);
  resource.session.track(resource);
  return wrapper;
}

type Factory = (parent: ClientResource, descriptor: never) => ClientResource;
const factories = new Map<string, Factory>();

/** For an interface whose attributes the client answers: `factory` makes its resource from the descriptor. */
export function defineResource<Descriptor>(
  kind: string,
  factory: (parent: ClientResource, descriptor: Descriptor) => ClientResource,
): void {
  factories.set(kind, factory as Factory);
}

/** Makes the resource of an object that `parent` creates with these converted arguments. */
export function makeResource(kind: string, parent: ClientResource, args: readonly unknown[]): ClientResource {
  const factory = factories.get(kind);
  if (factory) return factory(parent, args[0] as never);
  const label = (args[0] as { label?: unknown } | undefined)?.label;
  return new ClientResource(parent.session, kind, deviceOf(parent), typeof label === 'string' ? label : '');
}

/** The device that a resource belongs to, or the resource itself if it is a device. */
export function deviceOf(resource: ClientResource): ClientResource | undefined {
  return resource.device ?? (resource.kind === 'GPUDevice' ? resource : undefined);
}

/**
 * Makes a method that follows from its row: brand check, conversion, record, and a wrapper if it creates an
 * object.
 */
function regularMethod(operation: AnyOperation): (...args: unknown[]) => unknown {
  const { interface: name, member, creates } = operation;
  const call = (self: unknown, args: unknown[]) => {
    const resource = localCall(self, name, member);
    const { session } = resource;
    const converted = operation.convert?.(args) as unknown[];
    const made = creates === undefined ? undefined : makeResource(creates, resource, converted);
    session.record(operation, resource, converted, made);
    return made && wrap(made);
  };
  // Defined as a method, since a function would be a constructor, and WebIDL operations are none.
  return {
    [member](this: unknown, ...args: unknown[]) {
      return call(this, args);
    },
  }[member] as (...args: unknown[]) => unknown;
}

/**
 * Runs the body of an operation that returns a promise. As WebIDL says, an exception of the body
 * becomes a rejection, also one of the brand check or the conversions.
 */
export function promising<T>(body: () => Promise<T>): Promise<T> {
  try {
    return body();
  } catch (error) {
    return native.Promise.reject(error);
  }
}
