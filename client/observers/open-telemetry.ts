import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import type { Attributes, Tracer } from '@opentelemetry/api';
import { packageVersion } from '../../link/machine/package-version.js';
import type { SessionObserver } from '../session/observer.js';
import { parseHostAddress } from '../transport/host/host-address.js';

type Api = typeof import('@opentelemetry/api');

/** Where version 1 of the package keeps what a program has registered: a program that traces has put `trace` there. */
const REGISTERED = Symbol.for('opentelemetry.js.api.1');

/** `SpanKind.CLIENT` and `SpanStatusCode.ERROR`, whose values are the package's contract. */
const CLIENT = 2;
const ERROR = 2;

/**
 * Tells OpenTelemetry of what a program waits for: a span for each, a child of what is active when it is asked for. A
 * program that has set up no OpenTelemetry pays a look at a global object for each wait; the package is the program's
 * own, and is loaded only then.
 */
export class Telemetry implements SessionObserver {
  #tracer: Tracer | undefined;
  #missing = false;
  #server: Attributes = {};

  /** The host's address, once it is known, as Transport has it. */
  set target(target: string) {
    this.#server = serverOf(target);
  }

  readonly awaited: NonNullable<SessionObserver['awaited']> = ({ operation, label }) => {
    const tracer = this.#load();
    if (!tracer) return () => {};
    const { interface: service, member } = operation;
    const span = tracer.startSpan(`${service}/${member}`, {
      kind: CLIENT,
      attributes: {
        'rpc.system': 'farlight',
        'rpc.service': service,
        'rpc.method': member,
        ...(label && { 'farlight.label': label }),
      },
    });
    return (error) => {
      // At the end: when the first one begins, where it goes is not known yet.
      span.setAttributes(this.#server);
      if (error) {
        span.setAttribute('error.type', error.name);
        span.setStatus({ code: ERROR, message: error.message });
      }
      span.end();
    };
  };

  #load(): Tracer | undefined {
    if (this.#tracer || this.#missing) return this.#tracer;
    const { trace } = ((globalThis as Record<symbol, unknown>)[REGISTERED] ?? {}) as { trace?: unknown };
    if (!trace) return undefined;
    const api = loadApi();
    if (api) this.#tracer = api.trace.getTracer('farlight', packageVersion());
    else this.#missing = true;
    return this.#tracer;
  }
}

/** The program's own copy of the package, or else the one that lies beside this package. */
function loadApi(): Api | undefined {
  const main = process.argv[1];
  for (const from of [main && pathToFileURL(main), import.meta.url]) {
    if (!from) continue;
    try {
      return createRequire(from)('@opentelemetry/api') as Api;
    } catch {
      // Not there.
    }
  }
  return undefined;
}

function serverOf(target: string): Attributes {
  if (!/^(grpcs?|unix):/.test(target)) return {};
  const { scheme, host, port, path } = parseHostAddress(target, { tls: true });
  if (scheme === 'unix') return { 'server.address': path, 'network.transport': 'unix' };
  return { 'server.address': host, 'server.port': port };
}
