import { expect, it } from 'vitest';
import { inferenceDefinitions, SERVICE } from '#farlight/infer/grpc/inference-definitions.js';
import { hostDefinitions } from '#farlight/link/grpc/host-service.js';
import { readDefinitions, servicesOf } from '#farlight/link/grpc/services.js';

/** A method, with what both sides write for a message. */
interface Method {
  path: string;
  requestStream: boolean;
  responseStream: boolean;
  requestSerialize(value: object): Buffer;
  requestDeserialize(bytes: Buffer): object;
  responseSerialize(value: object): Buffer;
  responseDeserialize(bytes: Buffer): object;
}

const HOST = 'proto/farlight.proto';
const INFERENCE = 'infer/grpc/open-inference.proto';

it.for([
  ['farlight.v1.Host', HOST, 'hosts'],
  ['farlight.v1.Sessions', HOST, 'hosts'],
  ['farlight.v1.Lines', HOST, 'hosts'],
  ['farlight.v1.Moves', HOST, 'hosts'],
  [SERVICE, INFERENCE, 'inference'],
] as const)(
  '%s has the methods and messages that the loader of gRPC finds in its .proto file',
  ([service, file, kind]) => {
    const definitions = kind === 'hosts' ? hostDefinitions() : inferenceDefinitions();
    const expected = definitions[service] as unknown as Record<string, Method>;
    const made = servicesOf(readDefinitions(file))(service) as unknown as Record<string, Method>;
    expect(Object.keys(made)).toEqual(Object.keys(expected));
    for (const [name, method] of Object.entries(expected)) {
      const { path, requestStream, responseStream } = method;
      expect(made[name]).toMatchObject({ path, requestStream, responseStream });
      // Each message with the values that a reader gives to what was left out.
      const request = method.requestDeserialize(Buffer.alloc(0));
      expect(made[name]?.requestDeserialize(Buffer.alloc(0))).toEqual(request);
      expect(made[name]?.requestSerialize(request)).toEqual(method.requestSerialize(request));
      const response = method.responseDeserialize(Buffer.alloc(0));
      expect(made[name]?.responseDeserialize(Buffer.alloc(0))).toEqual(response);
      expect(made[name]?.responseSerialize(response)).toEqual(method.responseSerialize(response));
    }
  },
);

it('packs lists of numbers, and reads long numbers and choices, as the loader of gRPC does', () => {
  const definitions = inferenceDefinitions()[SERVICE] as unknown as Record<string, Method>;
  const made = servicesOf(readDefinitions(INFERENCE))(SERVICE) as unknown as Record<string, Method>;
  const tensor = { name: 'a', datatype: 'FP32', shape: [1, 2 ** 40], contents: { fp32_contents: [1, 2] } };
  const request = { model_name: 'm', inputs: [tensor], parameters: { p: { string_param: 'x' } } };
  const bytes = definitions.ModelInfer?.requestSerialize(request) ?? Buffer.alloc(0);
  expect(made.ModelInfer?.requestSerialize(request)).toEqual(bytes);
  expect(made.ModelInfer?.requestDeserialize(bytes)).toEqual(
    definitions.ModelInfer?.requestDeserialize(bytes),
  );
});
