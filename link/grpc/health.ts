import type {
  MethodDefinition,
  Server,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  sendUnaryData,
} from '@grpc/grpc-js';
import { grpc } from './grpc.js';
import { servicesOf } from './services.js';

type Serving = 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN';
interface Request {
  service: string;
}
interface Response {
  status: Serving;
}
interface Service extends ServiceDefinition {
  Check: MethodDefinition<Request, Response>;
  Watch: MethodDefinition<Request, Response>;
}

/** grpc.health.v1 as https://github.com/grpc/grpc-proto/blob/master/grpc/health/v1/health.proto defines it. */
const V1 = {
  nested: {
    HealthCheckRequest: { fields: { service: { type: 'string', id: 1 } } },
    HealthCheckResponse: {
      fields: { status: { type: 'ServingStatus', id: 1 } },
      nested: {
        ServingStatus: { values: { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } },
      },
    },
    Health: {
      methods: {
        Check: { requestType: 'HealthCheckRequest', responseType: 'HealthCheckResponse' },
        Watch: {
          requestType: 'HealthCheckRequest',
          responseType: 'HealthCheckResponse',
          responseStream: true,
        },
      },
    },
  },
};
const DEFINITIONS = { nested: { grpc: { nested: { health: { nested: { v1: V1 } } } } } };

/** Standard gRPC health checking. The server as a whole and its service have the same status. */
export class Health {
  readonly #services: readonly string[];
  #serving = false;
  readonly #watchers = new Set<ServerWritableStream<Request, Response>>();

  /** @param service the full name of the service. */
  constructor(service: string) {
    this.#services = ['', service];
  }

  addTo(server: Server): void {
    const implementation = {
      Check: (call: ServerUnaryCall<Request, Response>, reply: sendUnaryData<Response>) => {
        const { service } = call.request;
        if (this.#services.includes(service)) reply(null, { status: this.#status() });
        else reply({ code: grpc().status.NOT_FOUND, details: `there is no service ${service}` });
      },
      Watch: (call: ServerWritableStream<Request, Response>) => {
        if (!this.#services.includes(call.request.service)) {
          call.write({ status: 'SERVICE_UNKNOWN' });
          return;
        }
        this.#watchers.add(call);
        call.on('cancelled', () => this.#watchers.delete(call));
        call.write({ status: this.#status() });
      },
    };
    server.addService(servicesOf(DEFINITIONS)('grpc.health.v1.Health') as Service, implementation);
  }

  set(serving: boolean): void {
    if (serving === this.#serving) return;
    this.#serving = serving;
    for (const watcher of this.#watchers) watcher.write({ status: this.#status() });
  }

  /** Ends every Watch call, so that the server can close. */
  close(): void {
    this.set(false);
    for (const watcher of this.#watchers) watcher.end();
    this.#watchers.clear();
  }

  #status(): Serving {
    return this.#serving ? 'SERVING' : 'NOT_SERVING';
  }
}
