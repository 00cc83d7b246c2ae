import type {
  Duration,
  IndexEntry,
  InferenceService,
  ModelConfiguration,
  ModelMetadata,
  ModelStatistics,
} from '../service/service.js';
import type { Datatype, TensorDeclaration } from '../service/tensor.js';

/** The server's description of itself. */
export interface ServerMetadata {
  readonly name: string;
  readonly version: string;
  readonly extensions: readonly string[];
}

/** The extensions of the protocol that are served, by the names that Triton gave them. */
const EXTENSIONS = [
  'classification',
  'model_repository',
  'schedule_policy',
  'model_configuration',
  'binary_tensor_data',
  'parameters',
  'statistics',
] as const;

export function serverMetadata(name: string, version: string): ServerMetadata {
  return { name, version, extensions: EXTENSIONS };
}

/** Objects as both protocols have them: the fields have the names of the messages. */
export function metadataAnswer({ name, versions, platform, inputs, outputs }: ModelMetadata): object {
  return { name, versions, platform, inputs: inputs.map(declared), outputs: outputs.map(declared) };
}

function declared({ name, datatype, shape }: TensorDeclaration): object {
  return { name, datatype, shape };
}

/**
 * The configuration of a model, as far as it has one here: what Triton's clients read. Shapes are those of one item where
 * the model has batches.
 */
export function configurationAnswer(configuration: ModelConfiguration): object {
  const { name, platform, maxBatchSize, inputs, outputs, versions } = configuration;
  const tensor = ({ name, datatype, shape }: TensorDeclaration) => ({
    name,
    data_type: dataType(datatype),
    dims: maxBatchSize > 0 ? shape.slice(1) : shape,
  });
  const input = (declaration: TensorDeclaration) => {
    const { dims, ...described } = tensor(declaration);
    return { ...described, format: formatOf(dims), dims };
  };
  return {
    name,
    platform,
    backend: platform === 'onnxruntime_onnx' ? 'onnxruntime' : 'farlight',
    version_policy: { specific: { versions: versions.map(Number).filter(Number.isSafeInteger) } },
    max_batch_size: maxBatchSize,
    input: inputs.map(input),
    output: outputs.map(tensor),
    ...(maxBatchSize > 0 && { dynamic_batching: {} }),
  };
}

/** Of an image the channels come first or last; its clients ask for the order. It is known by the number of channels. */
function formatOf(dims: readonly number[]): string {
  const isChannels = (dimension: number | undefined) => dimension === 1 || dimension === 3 || dimension === 4;
  if (dims.length !== 3) return 'FORMAT_NONE';
  if (isChannels(dims[0])) return 'FORMAT_NCHW';
  return isChannels(dims[2]) ? 'FORMAT_NHWC' : 'FORMAT_NONE';
}

function dataType(datatype: Datatype): string {
  return datatype === 'BYTES' ? 'TYPE_STRING' : `TYPE_${datatype}`;
}

export function statisticsAnswer(statistics: readonly ModelStatistics[]): object {
  return { model_stats: statistics.map(modelStatistics) };
}

function modelStatistics(of: ModelStatistics): object {
  return {
    name: of.name,
    version: of.version,
    last_inference: Math.floor(of.lastInference),
    inference_count: of.inferenceCount,
    execution_count: of.executionCount,
    inference_stats: {
      success: whole(of.success),
      fail: whole(of.fail),
      queue: whole(of.queue),
      compute_input: whole(of.computeInput),
      compute_infer: whole(of.computeInfer),
      compute_output: whole(of.computeOutput),
      cache_hit: NONE,
      cache_miss: NONE,
    },
    batch_stats: of.batches.map((batch) => ({
      batch_size: batch.batchSize,
      compute_input: whole(batch.computeInput),
      compute_infer: whole(batch.computeInfer),
      compute_output: whole(batch.computeOutput),
    })),
  };
}

/** No answer comes from a cache. */
const NONE: Duration = { count: 0, ns: 0 };

function whole({ count, ns }: Duration): Duration {
  return { count, ns: Math.round(ns) };
}

/** @param onlyReady leaves out the models that cannot answer now. */
export function indexAnswer(service: InferenceService, onlyReady: boolean): object[] {
  return service
    .index()
    .filter(({ state }) => !onlyReady || state === 'READY')
    .map(({ name, version, state, reason = '' }: IndexEntry) => ({ name, version, state, reason }));
}
