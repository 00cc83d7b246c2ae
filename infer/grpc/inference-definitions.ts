import { fileURLToPath } from 'node:url';
import type { ServiceDefinition } from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import { protoLoader } from '../../link/grpc/grpc.js';
import { invariant } from '../../proto/errors.js';
import { readInferRequest } from './infer-request.js';

export const SERVICE = 'inference.GRPCInferenceService';

let definitions: PackageDefinition | undefined;

/** All that open-inference.proto defines, for reflection. */
export function inferenceDefinitions(): PackageDefinition {
  const file = fileURLToPath(new URL('./open-inference.proto', import.meta.url));
  definitions ??= protoLoader().loadSync(file, {
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  return definitions;
}

/** The service. Its requests for results are read by `readInferRequest`. */
export function inferenceService(): ServiceDefinition {
  const service = inferenceDefinitions()[SERVICE] as unknown as ServiceDefinition | undefined;
  invariant(service?.ModelInfer && service.ModelStreamInfer, 'open-inference.proto defines the service');
  return {
    ...service,
    ModelInfer: { ...service.ModelInfer, requestDeserialize: readInferRequest },
    ModelStreamInfer: { ...service.ModelStreamInfer, requestDeserialize: readInferRequest },
  };
}
