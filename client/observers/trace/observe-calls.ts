import { OPERATIONS } from '../../../proto/gen/operations.js';
import { resourceOf } from '../../../proto/webidl/resource.js';
import type { AnyOperation } from '../../../proto/wire/operation.js';
import { interfaceClasses } from '../../api/interface.js';
import type { SessionObserver } from '../../session/observer.js';

type Method = (this: unknown, ...args: unknown[]) => unknown;

let installed = false;

/**
 * Makes every method of WebGPU report its calls to the observer of its session, if that has `called`. Before
 * this is called the methods are unchanged, so that a program without a trace pays nothing.
 */
export function observeCalls(): void {
  if (installed) return;
  installed = true;
  for (const [name, { prototype }] of interfaceClasses()) {
    const rows: Readonly<Record<string, AnyOperation>> =
      (OPERATIONS as Record<string, Record<string, AnyOperation>>)[name] ?? {};
    for (const member of Object.keys(rows)) {
      const property = Object.getOwnPropertyDescriptor(prototype, member);
      if (typeof property?.value !== 'function') continue;
      Object.defineProperty(prototype, member, {
        ...property,
        value: observed(`${name}.${member}`, member, property.value),
      });
    }
  }
}

function observed(name: string, member: string, method: Method): Method {
  // Defined as a method, since a function would be a constructor, and WebIDL operations are none.
  const value = {
    [member](this: unknown, ...args: unknown[]) {
      const observer = observerOf(this);
      if (!observer?.called || !observer.now) return method.apply(this, args);
      const start = observer.now();
      let about: unknown = this;
      try {
        const result = method.apply(this, args);
        if (resourceOf(result)) about = result;
        return result;
      } finally {
        observer.called(name, start, about);
      }
    },
  }[member] as Method;
  return Object.defineProperty(value, 'length', { value: method.length, configurable: true });
}

function observerOf(self: unknown): SessionObserver | undefined {
  const { session } = (resourceOf(self) ?? {}) as { session?: { observer?: SessionObserver } };
  return session?.observer;
}
