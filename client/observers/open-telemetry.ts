import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import type { Attributes, Tracer } from '@opentelemetry/api';
import { parseHostAddress } from '../../link/dial/host-address.js';
import { packageVersion } from '../../link/machine/package-version.js';
import type { SessionObserver } from '../session/observer.js';

type Api = typeof import('@opentelemetry/api');

/**
 * Where version 1 of the package keeps what a program registers. A program that traces has set `trace` there.
 */
const REGISTERED = Symbol.for('opentelemetry.js.api.1');

/** `SpanKind.CLIENT` and `SpanStatusCode.ERROR`. These values are the package's contract. */
const CLIENT = 2;
const ERROR = 2;

/**
 * Reports each wait of a program to OpenTelemetry: as a span, a child of the span that is active at that
 * moment. A program without OpenTelemetry pays one look at a global object for each wait. The package is the
 * program's own, and loaded only if it is used.
 */
export class Telemetry implements SessionObserver {
  #tracer: Tracer | undefined;
  #server: Attributes = {};

  /** The host's address, when it is known, as Transport has it. */
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
      // Set at the end: when the first wait begins, the host's address is not known yet.
      span.setAttributes(this.#server);
      if (error) {
        span.setAttribute('error.type', error.name);
        span.setStatus({ code: ERROR, message: error.message });
      }
      span.end();
    };
  };

  #load(): Tracer | undefined {
    this.#tracer ??= registeredTelemetry()?.trace.getTracer('farlight', packageVersion());
    return this.#tracer;
  }
}

let loaded: Api | undefined;
let isMissing = false;

/** The package, if the program has registered something with it to get spans. For other programs it is not loaded. */
export function registeredTelemetry(): Api | undefined {
  const { trace } = ((globalThis as Record<symbol, unknown>)[REGISTERED] ?? {}) as { trace?: unknown };
  if (loaded || isMissing || !trace) return loaded;
  loaded = loadApi();
  isMissing = loaded === undefined;
  return loaded;
}

/** The program's own copy of the package, or else the copy beside this package. */
function loadApi(): Api | undefined {
  const main = process.argv[1];
  for (const from of [main && pathToFileURL(main), import.meta.url]) {
    if (!from) continue;
    try {
      return createRequire(from)('@opentelemetry/api') as Api;
    } catch {
      // Not found here.
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
