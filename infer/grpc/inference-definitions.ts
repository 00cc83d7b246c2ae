import type { ServiceDefinition } from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import { describeDefinitions, readDefinitions, servicesOf } from '../../link/grpc/services.js';
import { invariant } from '../../proto/errors.js';
import { answerWriter, streamAnswerWriter } from './infer-answer.js';
import { readInferRequest } from './infer-request.js';

export const SERVICE = 'inference.GRPCInferenceService';
const FILE = 'infer/grpc/open-inference.proto';

/** All that open-inference.proto defines, for reflection. */
export function inferenceDefinitions(): PackageDefinition {
  return describeDefinitions(FILE, true);
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
