import { DATATYPES } from '../service/tensor.js';

const ERROR = { $ref: '#/components/schemas/error' };

/** One operation: what it is for, the schema of its answer, of its body, and the statuses that it may have beside 200. */
interface Operation {
  readonly summary: string;
  readonly answer: string;
  readonly body?: string;
  readonly statuses: readonly number[];
}

const SENTENCES: Readonly<Record<number, string>> = {
  400: 'The request is wrong; the sentence says where.',
  401: 'The server asks for a token.',
  403: 'The tenant may not do this.',
  404: 'There is no such model or version.',
  408: 'The body did not go on for too long.',
  413: 'The request is larger than the server takes, or can ever compute.',
  415: 'The body has an encoding that the server does not know.',
  429: 'Too many requests wait on one connection, or the tenant has as many as it may.',
  500: 'The server is at fault; its log says why.',
  501: 'The server does not serve this part of the protocol.',
  503: 'The model or the server is not ready, has too much to do, or the time of the request is over.',
};

function operation({ summary, answer, body, statuses }: Operation, parameters: readonly string[]): object {
  const failures = statuses.map((status) => [
    status,
    {
      description: SENTENCES[status],
      content: { 'application/json': { schema: ERROR } },
      ...((status === 429 || status === 503) && {
        headers: {
          'Retry-After': { schema: { type: 'integer' }, description: 'Seconds; where waiting helps.' },
        },
      }),
    },
  ]);
  return {
    summary,
    parameters: parameters.map((name) => ({ $ref: `#/components/parameters/${name}` })),
    ...(body && {
      requestBody: { content: { 'application/json': { schema: { $ref: `#/components/schemas/${body}` } } } },
    }),
    responses: {
      200: {
        description: 'The answer.',
        content: { 'application/json': { schema: { $ref: `#/components/schemas/${answer}` } } },
      },
      ...Object.fromEntries(failures),
    },
  };
}

/** The paths of a model, with and without a version. */
function ofModel(suffix: string, method: 'get' | 'post', described: Operation): Record<string, object> {
  return {
    [`/v2/models/{model}${suffix}`]: { [method]: operation(described, ['model']) },
    [`/v2/models/{model}/versions/{version}${suffix}`]: {
      [method]: operation(described, ['model', 'version']),
    },
  };
}

const ASKED = [401, 500];
const OF_MODEL = [...ASKED, 404, 503];

const paths: Record<string, object> = {
  '/v2': {
    get: operation({ summary: 'Says what server this is.', answer: 'server', statuses: ASKED }, []),
  },
  '/v2/health/live': {
    get: operation({ summary: 'Whether the server runs.', answer: 'live', statuses: [] }, []),
  },
  '/v2/health/ready': {
    get: operation({ summary: 'Whether every model can answer.', answer: 'ready', statuses: [503] }, []),
  },
  ...ofModel('', 'get', { summary: 'Describes a model.', answer: 'model', statuses: OF_MODEL }),
  ...ofModel('/ready', 'get', {
    summary: 'Whether a model can answer.',
    answer: 'modelReady',
    statuses: OF_MODEL,
  }),
  ...ofModel('/config', 'get', {
    summary: 'The configuration of a model.',
    answer: 'configuration',
    statuses: OF_MODEL,
  }),
  ...ofModel('/stats', 'get', {
    summary: 'What a model has done since the server started.',
    answer: 'statistics',
    statuses: OF_MODEL,
  }),
  ...ofModel('/infer', 'post', {
    summary: 'Runs a model or a graph once.',
    body: 'inferRequest',
    answer: 'inferAnswer',
    statuses: [...OF_MODEL, 400, 403, 408, 413, 415, 429],
  }),
  '/v2/models/stats': {
    get: operation({ summary: 'What all models have done.', answer: 'statistics', statuses: ASKED }, []),
  },
  ...Object.fromEntries(
    ['/v2/trace/setting', '/v2/models/{model}/trace/setting'].map((path) => {
      const parameters = path.includes('{model}') ? ['model'] : [];
      const statuses = [...OF_MODEL, 400, 501];
      const get = { summary: 'How requests are traced.', answer: 'traceSettings', statuses };
      const post = { ...get, summary: 'Takes settings that change nothing.', body: 'traceSettings' };
      return [path, { get: operation(get, parameters), post: operation(post, parameters) }];
    }),
  ),
  '/v2/repository/index': {
    post: operation(
      {
        summary: 'All models of the folder.',
        body: 'indexRequest',
        answer: 'index',
        statuses: [...ASKED, 400],
      },
      [],
    ),
  },
  ...Object.fromEntries(
    (['load', 'unload'] as const).map((verb) => [
      `/v2/repository/models/{model}/${verb}`,
      {
        post: operation(
          {
            summary: verb === 'load' ? 'Reads a model again, and serves it.' : 'Serves a model no more.',
            body: 'parametersOnly',
            answer: 'nothing',
            statuses: [...OF_MODEL, 400, 403],
          },
          ['model'],
        ),
      },
    ]),
  ),
};

const STRING = { type: 'string' };
const INTEGER = { type: 'integer' };
const SHAPE = { type: 'array', items: INTEGER };
const DATATYPE = { type: 'string', enum: DATATYPES };
const PARAMETERS = {
  type: 'object',
  additionalProperties: { anyOf: [STRING, { type: 'number' }, { type: 'boolean' }] },
};

function object(properties: Record<string, object>, optional: readonly string[] = []): object {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required };
}

function ref(name: string): object {
  return { $ref: `#/components/schemas/${name}` };
}

function list(items: object): object {
  return { type: 'array', items };
}

const DURATIONS = ['success', 'fail', 'queue', 'compute_input', 'compute_infer', 'compute_output'];

const schemas: Record<string, object> = {
  error: object({ error: STRING }),
  nothing: { type: 'object', maxProperties: 0 },
  live: object({ live: { type: 'boolean' } }),
  ready: object({ ready: { type: 'boolean' } }),
  server: object({ name: STRING, version: STRING, extensions: list(STRING) }),
  tensor: object({ name: STRING, datatype: DATATYPE, shape: SHAPE }),
  model: object({
    name: STRING,
    versions: list(STRING),
    platform: STRING,
    inputs: list(ref('tensor')),
    outputs: list(ref('tensor')),
  }),
  modelReady: object({ name: STRING, ready: { type: 'boolean' } }),
  configurationTensor: object({ name: STRING, data_type: STRING, dims: SHAPE }),
  configuration: object(
    {
      name: STRING,
      platform: STRING,
      backend: STRING,
      version_policy: { type: 'object' },
      max_batch_size: INTEGER,
      input: list(ref('configurationTensor')),
      output: list(ref('configurationTensor')),
      dynamic_batching: { type: 'object' },
    },
    ['dynamic_batching'],
  ),
  duration: object({ count: INTEGER, ns: INTEGER }),
  modelStatistics: object({
    name: STRING,
    version: STRING,
    last_inference: INTEGER,
    inference_count: INTEGER,
    execution_count: INTEGER,
    inference_stats: object(Object.fromEntries(DURATIONS.map((name) => [name, ref('duration')]))),
    batch_stats: list(
      object({
        batch_size: INTEGER,
        compute_input: ref('duration'),
        compute_infer: ref('duration'),
        compute_output: ref('duration'),
      }),
    ),
  }),
  statistics: object({ model_stats: list(ref('modelStatistics')) }),
  indexRequest: object({ ready: { type: 'boolean' } }, ['ready']),
  index: list(object({ name: STRING, version: STRING, state: STRING, reason: STRING })),
  traceSettings: {
    type: 'object',
    additionalProperties: { anyOf: [STRING, { type: 'array', items: STRING }] },
  },
  parametersOnly: object({ parameters: PARAMETERS }, ['parameters']),
  data: {
    type: 'array',
    items: { anyOf: [ref('data'), { type: 'number' }, STRING, { type: 'boolean' }] },
    description:
      'Flat, or nested as the shape says. INT64 and UINT64 may be strings; NaN and the infinities are.',
  },
  inferRequest: object(
    {
      id: STRING,
      parameters: PARAMETERS,
      inputs: list(
        object(
          { name: STRING, datatype: DATATYPE, shape: SHAPE, parameters: PARAMETERS, data: ref('data') },
          ['parameters', 'data'],
        ),
      ),
      outputs: list(object({ name: STRING, parameters: PARAMETERS }, ['parameters'])),
    },
    ['id', 'parameters', 'outputs'],
  ),
  inferAnswer: object(
    {
      id: STRING,
      model_name: STRING,
      model_version: STRING,
      outputs: list(
        object(
          { name: STRING, datatype: DATATYPE, shape: SHAPE, parameters: PARAMETERS, data: ref('data') },
          ['parameters', 'data'],
        ),
      ),
    },
    ['id'],
  ),
};

/** The REST protocol as an OpenAPI document, which the server gives out. */
export const OPEN_API: object = {
  openapi: '3.0.3',
  info: {
    title: 'Open Inference Protocol',
    version: '2',
    description: 'Tensors may also lie as binary data behind the JSON: see the binary tensor data extension.',
  },
  paths,
  components: {
    parameters: Object.fromEntries(
      ['model', 'version'].map((name) => [name, { name, in: 'path', required: true, schema: STRING }]),
    ),
    schemas,
    securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
  },
};
