import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type * as Ort from 'onnxruntime-web/webgpu';
import { messageOf } from '../../../proto/errors.js';
import type { TensorDeclaration } from '../../service/tensor.js';
import { changed, fileVersion } from '../file-version.js';
import { RunError } from '../lane.js';
import { declarationOf, isOnGpu } from '../tensor-conversion.js';
import { raiseClipOpset } from './clip-opset.js';
import { rightLayout } from './conv-layout.js';
import { externalWeights } from './external-weights.js';
import type { LaneDevice } from './lane-device.js';

export interface Declarations {
  readonly inputs: readonly TensorDeclaration[];
  readonly outputs: readonly TensorDeclaration[];
  /** Says which files it was made of. */
  readonly version: string;
}

/** A model's file, and the files with its weights, by the paths that the model has for them. */
interface Contents {
  readonly model: Uint8Array;
  readonly weights: readonly { readonly path: string; readonly data: Uint8Array }[];
  readonly version: string;
}

/** A model's session of ONNX Runtime, which is made again after a run that failed. */
export class LoadedModel {
  readonly #ort: typeof Ort;
  readonly #device: LaneDevice;
  readonly #file: string;
  /** Which files they were, when they were loaded first. */
  #version: string | undefined;
  #session: Ort.InferenceSession | undefined;
  #declarations: Declarations | undefined;

  /** `version`: what its files have to be; undefined: what they are. */
  constructor(ort: typeof Ort, device: LaneDevice, file: string, version?: string) {
    this.#ort = ort;
    this.#device = device;
    this.#file = file;
    this.#version = version;
  }

  /** Makes the session, where it is not there. @throws RunError `away` that says what is wrong with the file */
  async open(): Promise<Declarations> {
    if (this.#session && this.#declarations) return this.#declarations;
    const contents = await this.#read();
    const raised = raiseClipOpset(contents.model);
    try {
      return await this.#openContents(raised ? { ...contents, model: raised } : contents);
    } catch (error) {
      if (!raised || (error instanceof RunError && error.memory)) throw error;
      // The change of the model may be at fault: try the file as it is.
      return await this.#openContents(contents);
    }
  }

  async #openContents(contents: Contents): Promise<Declarations> {
    this.#session = await this.#create(contents, 'gpu-buffer');
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
        this.#session = await this.#create(contents, locations);
      }
      this.#declarations = { inputs, outputs, version: contents.version };
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

  async #read(): Promise<Contents> {
    const versions: string[] = [];
    const known = this.#version?.split(',');
    const read = (file: string) => {
      // Before it is read: it may be large.
      versions.push(fileVersion(file, known && (known[versions.length] ?? '')));
      return readFile(file);
    };
    try {
      const model = await read(this.#file);
      const weights: { path: string; data: Uint8Array }[] = [];
      for (const path of externalWeights(model))
        weights.push({ path, data: await read(join(dirname(this.#file), path)) });
      const version = versions.join();
      this.#version ??= version;
      if (version !== this.#version) throw changed(this.#file);
      return { model, weights, version };
    } catch (error) {
      if (error instanceof RunError) throw error;
      throw new RunError(`${this.#file} cannot be read: ${messageOf(error)}.`, {
        away: true,
        cause: error,
      });
    }
  }

  async #create(
    { model, weights }: Contents,
    preferredOutputLocation: 'gpu-buffer' | Record<string, 'gpu-buffer' | 'cpu'>,
  ): Promise<Ort.InferenceSession> {
    let session: Ort.InferenceSession | undefined;
    try {
      return await this.#device.guard(async () => {
        session = await this.#ort.InferenceSession.create(model, {
          executionProviders: [
            {
              name: 'webgpu',
              device: this.#device.device,
              preferredLayout: rightLayout(model),
              // Buffers are given back after each run, so that a run's memory depends on its batch alone.
              storageBufferCacheMode: 'lazyRelease',
            },
          ],
          externalData: weights,
          preferredOutputLocation,
          logSeverityLevel: 3,
        });
        return { result: Promise.resolve(session) };
      });
    } catch (error) {
      await session?.release();
      if (error instanceof RunError) throw error;
      throw new RunError(`${this.#file} cannot be loaded: ${reasonOf(error)}`, { away: true, cause: error });
    }
  }
}

/** The message of ONNX Runtime's error, in one line and without its numbers. */
function reasonOf(error: unknown): string {
  return messageOf(error)
    .replace(/^.*ERROR_MESSAGE: /s, '')
    .replace(/\s+/g, ' ')
    .trim();
}
