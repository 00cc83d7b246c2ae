import { fileURLToPath } from 'node:url';
import type { ServiceDefinition } from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import { protoLoader } from '../../link/grpc/grpc.js';
import { readDefinitions, servicesOf } from '../../link/grpc/services.js';
import { packageFile } from '../../link/machine/package-files.js';
import { invariant } from '../../proto/errors.js';
import { answerWriter, streamAnswerWriter } from './infer-answer.js';
import { readInferRequest } from './infer-request.js';

export const SERVICE = 'inference.GRPCInferenceService';
const FILE = 'infer/grpc/open-inference.proto';

let definitions: PackageDefinition | undefined;

/** All that open-inference.proto defines, for reflection. */
export function inferenceDefinitions(): PackageDefinition {
  const file = fileURLToPath(packageFile(FILE));
  definitions ??= protoLoader().loadSync(file, {
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  return definitions;
}

/** The service. Tensors are read and written by `readInferRequest` and the writers of answers. */
export function inferenceService(): ServiceDefinition {
  const service = servicesOf(readDefinitions(FILE))(SERVICE);
  invariant(service.ModelInfer && service.ModelStreamInfer, 'open-inference.proto defines the service');
  const { ModelInfer, ModelStreamInfer } = service;
  const answer = ModelInfer.responseSerialize;
  return {
    ...service,
    ModelInfer: {
      ...ModelInfer,
      requestDeserialize: readInferRequest,
      responseSerialize: answerWriter(answer),
    },
    ModelStreamInfer: {
      ...ModelStreamInfer,
      requestDeserialize: readInferRequest,
      responseSerialize: streamAnswerWriter(answer, ModelStreamInfer.responseSerialize),
    },
  };
}
