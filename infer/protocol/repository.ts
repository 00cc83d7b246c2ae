import { InferenceError, type InferenceService, invalid, type LoadOverrides } from '../service/service.js';
import { loadFailure } from './failures.js';
import { isObject, type Parameters } from './request.js';
import { quoted } from './tensor-coding.js';

/** A client that has been admitted. */
export interface Client {
  readonly tenant: string;
  /** Whether it may load and unload models. */
  readonly mayLoad: boolean;
}

/** The client of a request that needs no token. */
export const NOBODY: Client = { tenant: '', mayLoad: false };

/** @throws InferenceError (rejects) */
export async function loadModel(
  service: InferenceService,
  client: Client,
  model: string,
  parameters: Parameters,
): Promise<void> {
  mustLoad(client);
  try {
    await service.load(model, overridesOf(parameters));
  } catch (error) {
    throw loadFailure('load', model, error);
  }
}

/** @throws InferenceError (rejects) */
export async function unloadModel(
  service: InferenceService,
  client: Client,
  model: string,
  { unload_dependents: dependents }: Parameters,
): Promise<void> {
  mustLoad(client);
  try {
    if (dependents === true) {
      throw invalid('the models of a graph are unloaded by their own names; leave unload_dependents out');
    }
    await service.unload(model);
  } catch (error) {
    throw loadFailure('unload', model, error);
  }
}

function mustLoad({ tenant, mayLoad }: Client): void {
  if (mayLoad) return;
  throw new InferenceError(
    'forbidden',
    `the tenant ${tenant} may not load or unload models; the server's owner allows it with --may-load ${tenant}`,
  );
}

/** Of a model's configuration only the size of its batches can be set while it is loaded. */
function overridesOf(parameters: Parameters): LoadOverrides {
  const { config, ...others } = parameters;
  const [other] = Object.keys(others);
  if (other?.startsWith('file:')) {
    throw invalid(
      'a model is loaded from the folder of the server, and not from a request; put the file there',
    );
  }
  if (other !== undefined) {
    throw invalid(`there is no parameter ${quoted(other)} of loading; there is "config"`);
  }
  if (config === undefined) return {};
  const read = configOf(config);
  const [unknown] = Object.keys(read).filter((key) => !KNOWN.includes(key));
  if (unknown !== undefined) {
    throw invalid(`${quoted(unknown)} of a configuration cannot be set by a request; max_batch_size can`);
  }
  const size = read.max_batch_size;
  if (size === undefined) return {};
  // Triton takes a number in a string, as the JSON of protobuf allows.
  const maxBatchSize = typeof size === 'string' && /^\d{1,10}$/.test(size) ? Number(size) : size;
  if (
    typeof maxBatchSize === 'number' &&
    Number.isInteger(maxBatchSize) &&
    maxBatchSize >= 0 &&
    maxBatchSize < 2 ** 31
  ) {
    return { maxBatchSize };
  }
  throw invalid(`max_batch_size is a whole number of 0 or more, and not ${quoted(size)}`);
}

/** The fields of a configuration that a client may send. All but max_batch_size are ignored: they are the model's own. */
const KNOWN = ['name', 'platform', 'backend', 'max_batch_size'];

function configOf(text: unknown): Record<string, unknown> {
  try {
    const read = JSON.parse(String(text));
    if (isObject(read)) return read;
  } catch {
    // The check below refuses it.
  }
  throw invalid('the parameter "config" is a JSON object in a string, for example {"max_batch_size": 16}');
}
