import { readFile, stat } from 'node:fs/promises';
import type * as Ort from 'onnxruntime-web/webgpu';
import { messageOf } from '../../../proto/errors.js';
import type { TensorDeclaration } from '../../service/tensor.js';
import { RunError } from '../lane.js';
import { declarationOf, isOnGpu } from '../tensor-conversion.js';
import { raiseClipOpset } from './clip-opset.js';
import type { LaneDevice } from './lane-device.js';

export interface Declarations {
  readonly inputs: readonly TensorDeclaration[];
  readonly outputs: readonly TensorDeclaration[];
}

/** A model's session of ONNX Runtime, which is made again after a run that failed. */
export class LoadedModel {
  readonly #ort: typeof Ort;
  readonly #device: LaneDevice;
  readonly #file: string;
  /** Which file it was, when it was loaded first. */
  #version: string | undefined;
  #session: Ort.InferenceSession | undefined;
  #declarations: Declarations | undefined;

  constructor(ort: typeof Ort, device: LaneDevice, file: string) {
    this.#ort = ort;
    this.#device = device;
    this.#file = file;
  }

  /** Makes the session, where it is not there. @throws RunError that says what is wrong with the file */
  async open(): Promise<Declarations> {
    if (this.#session && this.#declarations) return this.#declarations;
    const bytes = await this.#read();
    const raised = raiseClipOpset(bytes);
    try {
      return await this.#openBytes(raised ?? bytes);
    } catch (error) {
      if (!raised || (error instanceof RunError && error.memory)) throw error;
      // Whatever the changed model lacks, the file itself may have.
      return await this.#openBytes(bytes);
    }
  }

  async #openBytes(bytes: Uint8Array): Promise<Declarations> {
    this.#session = await this.#create(bytes, 'gpu-buffer');
    try {
      const { inputMetadata, outputMetadata } = this.#session;
      const inputs = inputMetadata.map(declarationOf);
      const outputs = outputMetadata.map(declarationOf);
      const here = outputs.filter(({ datatype }) => !isOnGpu(datatype));
      if (here.length > 0) {
        await this.close();
        const locations = Object.fromEntries(
          outputs.map(({ name, datatype }) => [name, isOnGpu(datatype) ? 'gpu-buffer' : 'cpu'] as const),
        );
        this.#session = await this.#create(bytes, locations);
      }
      this.#declarations = { inputs, outputs };
      return this.#declarations;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /**
   * Hands one run to the GPU. A session whose run failed is closed: it would give its next run the inputs of this one.
   */
  async run(
    feeds: Record<string, Ort.Tensor>,
    outputs: readonly string[],
  ): Promise<Ort.InferenceSession.ReturnType> {
    try {
      return await (this.#session as Ort.InferenceSession).run(feeds, outputs);
    } catch (error) {
      await this.close();
      throw new RunError(`The model failed: ${reasonOf(error)}`, { cause: error });
    }
  }

  async close(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.release();
  }

  async #read(): Promise<Uint8Array> {
    try {
      const { ino, size, mtimeMs } = await stat(this.#file);
      const version = [ino, size, mtimeMs].join();
      this.#version ??= version;
      if (version !== this.#version) throw new Error('it is another file than the one that was loaded');
      return await readFile(this.#file);
    } catch (error) {
      throw new RunError(`${this.#file} cannot be read: ${messageOf(error)}.`, { cause: error });
    }
  }

  async #create(
    bytes: Uint8Array,
    preferredOutputLocation: 'gpu-buffer' | Record<string, 'gpu-buffer' | 'cpu'>,
  ): Promise<Ort.InferenceSession> {
    let session: Ort.InferenceSession | undefined;
    try {
      return await this.#device.guard(async () => {
        session = await this.#ort.InferenceSession.create(bytes, {
          executionProviders: [
            // Buffers are given back after each run, so that a run's memory depends on its batch alone.
            { name: 'webgpu', device: this.#device.device, storageBufferCacheMode: 'lazyRelease' },
          ],
          preferredOutputLocation,
          logSeverityLevel: 3,
        });
        return { result: Promise.resolve(session) };
      });
    } catch (error) {
      await session?.release();
      if (error instanceof RunError) throw error;
      throw new RunError(`${this.#file} cannot be loaded: ${reasonOf(error)}`, { cause: error });
    }
  }
}

/** What ONNX Runtime says of an error, in one line and without its numbers. */
function reasonOf(error: unknown): string {
  return messageOf(error)
    .replace(/^.*ERROR_MESSAGE: /s, '')
    .replace(/\s+/g, ' ')
    .trim();
}
