import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  inferenceDefinitions,
  inferenceService,
  SERVICE,
} from '#farlight/infer/grpc/inference-definitions.js';
import type { InferenceResult } from '#farlight/infer/service/service.js';
import type { Tensor } from '#farlight/infer/service/tensor.js';

/** How the library for protobuf reads answers. */
const library = inferenceDefinitions()[SERVICE] as unknown as Record<
  'ModelInfer' | 'ModelStreamInfer',
  { responseDeserialize(bytes: Uint8Array): { raw_output_contents: Buffer[]; [field: string]: unknown } }
>;
const service = inferenceService();

const tensor: fc.Arbitrary<Tensor> = fc
  .record({ name: fc.string(), data: fc.uint8Array({ maxLength: 300 }) })
  .map(({ name, data }) => ({ name, datatype: 'UINT8', shape: [data.length], data }));
const results: fc.Arbitrary<InferenceResult> = fc.record(
  { model: fc.string(), version: fc.string(), id: fc.string(), outputs: fc.array(tensor, { maxLength: 4 }) },
  { requiredKeys: ['model', 'version', 'outputs'] },
);

/** The message in a frame, as grpc-js puts it there. */
function framed(method: keyof typeof library, answer: unknown): Buffer {
  const message = service[method]?.responseSerialize(answer) as Buffer;
  const frame = Buffer.alloc(5 + message.byteLength);
  message.copy(frame, 5);
  return frame.subarray(5);
}

function expected({ model, version, id, outputs }: InferenceResult) {
  return {
    model_name: model,
    model_version: version,
    id: id ?? '',
    outputs: outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
    raw_output_contents: outputs.map(({ data }) => Buffer.from(data as Uint8Array)),
  };
}

describe('an answer over gRPC', () => {
  it('the library for protobuf reads an answer as it was meant', () => {
    fc.assert(
      fc.property(results, (result) => {
        const read = library.ModelInfer.responseDeserialize(framed('ModelInfer', result));
        expect(read).toMatchObject(expected(result));
      }),
    );
  });

  it('the library for protobuf reads an answer in a stream as it was meant', () => {
    fc.assert(
      fc.property(results, (result) => {
        const read = library.ModelStreamInfer.responseDeserialize(framed('ModelStreamInfer', { result }));
        expect(read).toMatchObject({ error_message: '', infer_response: expected(result) });
      }),
    );
    const failure = framed('ModelStreamInfer', { error: 'no such model', id: '7' });
    expect(library.ModelStreamInfer.responseDeserialize(failure)).toMatchObject({
      error_message: 'no such model',
      infer_response: { id: '7' },
    });
  });

  it('an answer of many megabytes has lengths of several bytes', () => {
    const data = new Uint8Array(20 << 20).fill(3);
    const result = {
      model: 'm',
      version: '1',
      outputs: [{ name: 'y', datatype: 'UINT8', shape: [data.length], data }],
    };
    const { raw_output_contents: raw } = library.ModelInfer.responseDeserialize(framed('ModelInfer', result));
    expect(raw[0]?.equals(data)).toBe(true);
  });
});
