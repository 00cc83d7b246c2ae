import type {
  MethodDefinition,
  Server,
  ServerDuplexStream,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import { invariant } from '../../proto/errors.js';
import { grpcReflection } from './grpc.js';

type Call = ServerDuplexStream<object, object>;
interface Reflection {
  method: MethodDefinition<object, object>;
  answer(call: Call): void;
}

const METHOD = 'ServerReflectionInfo';
const PATHS = ['v1', 'v1alpha'].map((version) => `/grpc.reflection.${version}.ServerReflection/${METHOD}`);

/**
 * Tells clients what services a server has, so that tools such as `grpcurl` need no copy of its definitions. Those are read
 * for the first call: that takes 0.05 s, and most servers are never asked.
 */
export function addReflection(server: Server, definitions: () => PackageDefinition): void {
  let made: ReadonlyMap<string, Reflection> | undefined;
  for (const path of PATHS) {
    const reflection = (): Reflection => {
      made ??= reflections(definitions());
      const found = made.get(path);
      invariant(found, `gRPC's reflection has ${path}`);
      return found;
    };
    const method: MethodDefinition<object, object> = {
      path,
      requestStream: true,
      responseStream: true,
      requestSerialize: (value) => reflection().method.requestSerialize(value),
      requestDeserialize: (bytes) => reflection().method.requestDeserialize(bytes),
      responseSerialize: (value) => reflection().method.responseSerialize(value),
      responseDeserialize: (bytes) => reflection().method.responseDeserialize(bytes),
    };
    server.addService({ [METHOD]: method }, { [METHOD]: (call: Call) => reflection().answer(call) });
  }
}

/** The methods of gRPC's own reflection, by path. */
function reflections(definitions: PackageDefinition): Map<string, Reflection> {
  const found = new Map<string, Reflection>();
  const server = {
    addService(
      service: Record<string, MethodDefinition<object, object>>,
      made: UntypedServiceImplementation,
    ) {
      const method = service[METHOD];
      const answer = made[METHOD] as Reflection['answer'] | undefined;
      if (method && answer) found.set(method.path, { method, answer });
    },
  };
  new (grpcReflection().ReflectionService)(definitions).addToServer(server);
  return found;
}
