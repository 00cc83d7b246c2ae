// The libraries that read and run ONNX files are large, so they are loaded when a model is planned or run. Other programs
// need not install them.
import type * as Protobuf from '@bufbuild/protobuf';
import type * as Onnx from 'onnx-buf';
import type * as Ort from 'onnxruntime-web/wasm';

export interface Libraries {
  readonly protobuf: typeof Protobuf;
  readonly onnx: typeof Onnx;
  readonly ort: typeof Ort;
}

/** Loads the optional packages of `farlight/shard`. If one is missing, throws an Error that says what to install. */
export async function loadLibraries(): Promise<Libraries> {
  try {
    const [protobuf, onnx, ort] = await Promise.all([
      import('@bufbuild/protobuf'),
      import('onnx-buf'),
      import('onnxruntime-web/wasm'),
    ]);
    return { protobuf, onnx, ort };
  } catch (error) {
    throw new Error(
      'models are read with onnx-buf and ONNX Runtime Web, which are not both installed: run npm install onnx-buf onnxruntime-web',
      { cause: error },
    );
  }
}
