import type * as Ort from 'onnxruntime-web/webgpu';
import { messageOf } from '../../../proto/errors.js';
import { joinBytes } from '../../service/tensor.js';
import { RunError } from '../lane.js';
import { bytesField, utf8, varintField } from './protobuf.js';

/** @throws RunError where ONNX Runtime Web is not installed */
export async function loadRuntime(): Promise<typeof Ort> {
  let ort: typeof Ort;
  try {
    ort = await import('onnxruntime-web/webgpu');
  } catch (error) {
    throw new RunError(
      `models run on ONNX Runtime Web, which is not installed (${messageOf(error)}): run npm install onnxruntime-web`,
    );
  }
  // With more threads it fetches its worker from a file: URL, and Node fetches none.
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  return ort;
}

/**
 * Has ONNX Runtime compile its module, which it does for its first model. It takes half a second, which would count as
 * the time of loading that model.
 */
export async function startRuntime(ort: typeof Ort, device: GPUDevice): Promise<void> {
  const executionProviders = [{ name: 'webgpu', device } as const];
  const session = await ort.InferenceSession.create(identity(), { executionProviders, logSeverityLevel: 3 });
  await session.release();
}

/** A model that gives back its input `x`, one float, as `y`. The numbers of fields are those of onnx.proto3. */
function identity(): Uint8Array {
  const text = (number: number, value: string) => bytesField(number, utf8(value));
  const dimension = varintField(1, 1n);
  const float = joinBytes([varintField(1, 1n), bytesField(2, bytesField(1, dimension))]);
  const named = (name: string) => joinBytes([text(1, name), bytesField(2, bytesField(1, float))]);
  const node = joinBytes([text(1, 'x'), text(2, 'y'), text(4, 'Identity')]);
  const graph = [
    bytesField(1, node),
    text(2, 'identity'),
    bytesField(11, named('x')),
    bytesField(12, named('y')),
  ];
  const opset = varintField(2, 13n);
  return joinBytes([varintField(1, 7n), bytesField(7, joinBytes(graph)), bytesField(8, opset)]);
}
