const STRING = { type: 'string' };
const INTEGER = { type: 'integer' };
const NUMBER = { type: 'number' };
const TIME = { type: 'number', description: 'Milliseconds since 1970.' };

const SENTENCES: Readonly<Record<number, string>> = {
  400: 'The request is wrong; the sentence says where.',
  401: 'The portal asks for a token, or does not know this one.',
  403: 'This is another tenant’s.',
  404: 'There is no such pool, booking or host.',
  413: 'The body is too long.',
  429: 'Too many bookings wait already.',
  500: 'The portal has failed; its log says why.',
};

interface Operation {
  readonly summary: string;
  /** The schema of the answer, or the type of a text. */
  readonly answer: string;
  readonly body?: string;
  readonly statuses: readonly number[];
  readonly status?: number;
  /** Without a token. */
  readonly isOpen?: boolean;
}

function operation(path: string, described: Operation): object {
  const { summary, answer, body, statuses, status = 200, isOpen } = described;
  const failures = [...statuses, ...(isOpen ? [] : [401])].map((each) => [
    each,
    { description: SENTENCES[each], content: { 'application/json': { schema: ref('error') } } },
  ]);
  const content = answer.includes('/')
    ? { [answer]: { schema: STRING } }
    : { 'application/json': { schema: ref(answer) } };
  return {
    summary,
    parameters: [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
      name,
      in: 'path',
      required: true,
      schema: STRING,
    })),
    ...(body && { requestBody: { content: { 'application/json': { schema: ref(body) } } } }),
    responses: { [status]: { description: 'The answer.', content }, ...Object.fromEntries(failures) },
    ...(isOpen && { security: [] }),
  };
}

function paths(described: Record<string, Partial<Record<'get' | 'post' | 'delete', Operation>>>): object {
  return Object.fromEntries(
    Object.entries(described).map(([path, methods]) => [
      path,
      Object.fromEntries(Object.entries(methods).map(([method, each]) => [method, operation(path, each)])),
    ]),
  );
}

function ref(name: string): object {
  return { $ref: `#/components/schemas/${name}` };
}

function list(items: object): object {
  return { type: 'array', items };
}

function object(properties: Record<string, object>, optional: readonly string[] = []): object {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required };
}

const BOOKING = {
  id: STRING,
  pool: STRING,
  tenant: STRING,
  program: STRING,
  phase: { type: 'string', enum: ['waiting', 'ready', 'ended'] },
  why: { ...STRING, description: 'Why it waits, where it is, or why it has ended.' },
  version: { ...INTEGER, description: 'Grows with each change.' },
  asked: TIME,
  ready: TIME,
  ended: TIME,
  hosts: { ...INTEGER, description: 'How many hosts it asks for.' },
  places: list(object({ slot: INTEGER, term: INTEGER })),
  ahead: { ...INTEGER, description: 'Bookings of its tenant that wait before it.' },
  until: TIME,
};
const NOT_ALWAYS = ['ready', 'ended', 'ahead', 'until'];

const schemas = {
  error: object({ error: STRING }),
  live: object({ live: { type: 'boolean' } }),
  wish: object(
    {
      program: { ...STRING, description: 'A name for people.' },
      process: { ...STRING, description: 'Bookings of one process may share its host.' },
      hosts: { ...INTEGER, description: 'How many hosts it needs (1). It gets all of them, or none.' },
      seconds: {
        ...NUMBER,
        description:
          'Keeps the host for so long without renewals. Without it the booking ends when nobody renews it.',
      },
    },
    ['program', 'process', 'hosts', 'seconds'],
  ),
  renewal: object(
    {
      seen: { ...INTEGER, description: 'The version that the program knows.' },
      wait: { ...NUMBER, description: 'Seconds to wait for a later version, 30 at most.' },
    },
    ['seen', 'wait'],
  ),
  booking: object(BOOKING, NOT_ALWAYS),
  answer: object(
    {
      ...BOOKING,
      addresses: {
        ...list(STRING),
        description: 'The addresses of its hosts with their tokens, once it has them.',
      },
      idle: { ...NUMBER, description: 'Seconds without use after which a program gives its host back.' },
      lease: { ...NUMBER, description: 'Seconds after which a booking ends that nobody renews.' },
    },
    NOT_ALWAYS,
  ),
  host: object(
    {
      slot: INTEGER,
      term: INTEGER,
      phase: {
        type: 'string',
        enum: ['wanted', 'queued', 'starting', 'ready', 'releasing', 'ended', 'failed'],
      },
      why: STRING,
      job: STRING,
      node: STRING,
      sessions: INTEGER,
      tenant: STRING,
      isOutside: { type: 'boolean', description: 'A program that asks no portal has it.' },
    },
    ['job', 'node', 'sessions', 'tenant'],
  ),
  cost: object({
    tenant: STRING,
    used: { ...NUMBER, description: 'GPU seconds of hosts with a session.' },
    idle: { ...NUMBER, description: 'GPU seconds of hosts without one.' },
    hosts: INTEGER,
    bookings: INTEGER,
  }),
  pool: object(
    {
      name: STRING,
      engine: STRING,
      max: INTEGER,
      idle: NUMBER,
      wait: NUMBER,
      lease: NUMBER,
      gpus: { ...INTEGER, description: 'GPUs of each host.' },
      files: STRING,
      silence: { ...STRING, description: 'Why the engine does not answer.' },
      hosts: list(ref('host')),
      waiting: { ...INTEGER, description: 'Bookings of all tenants that wait.' },
      bookings: list(ref('booking')),
      costs: list(ref('cost')),
    },
    ['files', 'silence'],
  ),
  portal: object({
    version: STRING,
    now: TIME,
    startedAt: TIME,
    you: object({ tenant: STRING, isOwner: { type: 'boolean' } }),
    pools: list(ref('pool')),
    ends: list(ref('booking')),
  }),
  ended: object({ bookings: INTEGER, hosts: INTEGER }),
};

const TEXT = 'text/plain';

/** The portal's API as an OpenAPI document, which it gives out. */
export const OPEN_API: object = {
  openapi: '3.0.3',
  info: {
    title: 'Farlight portal',
    version: '1',
    description: 'Books hosts of pools, watches and releases them. Each client sees what its tenant has.',
  },
  paths: paths({
    '/v1/health': {
      get: { summary: 'Whether the portal runs.', answer: 'live', statuses: [], isOpen: true },
    },
    '/v1/portal': {
      get: { summary: 'All pools, as this client sees them.', answer: 'portal', statuses: [500] },
    },
    '/v1/events': {
      get: {
        summary:
          'Server-sent events named portal, each second where something has changed: the same, and figures of the last seconds.',
        answer: 'text/event-stream',
        statuses: [500],
      },
    },
    '/v1/pools/{pool}': { get: { summary: 'One pool.', answer: 'pool', statuses: [404, 500] } },
    '/v1/pools/{pool}/bookings': {
      post: {
        summary: 'Books a host, or several. The booking waits until it has all of them.',
        body: 'wish',
        answer: 'answer',
        status: 201,
        statuses: [400, 404, 413, 429, 500],
      },
    },
    '/v1/pools/{pool}/down': {
      post: {
        summary:
          'Ends all bookings of this tenant; for the portal’s owner those of all tenants, and their hosts.',
        answer: 'ended',
        statuses: [404, 500],
      },
    },
    '/v1/pools/{pool}/hosts/{slot}/log': {
      get: { summary: 'The end of what a host has printed.', answer: TEXT, statuses: [403, 404, 500] },
    },
    '/v1/bookings/{booking}': {
      get: { summary: 'One booking.', answer: 'booking', statuses: [404, 500] },
      delete: { summary: 'Releases a booking.', answer: 'booking', statuses: [404, 500] },
    },
    '/v1/bookings/{booking}/renew': {
      post: {
        summary: 'Renews a booking, and waits for a change. A program asks again and again.',
        body: 'renewal',
        answer: 'answer',
        statuses: [400, 403, 404, 413, 500],
      },
    },
    '/v1/bookings/{booking}/log': {
      get: { summary: 'The end of what its hosts have printed.', answer: TEXT, statuses: [404, 500] },
    },
    '/metrics': { get: { summary: 'Figures for Prometheus.', answer: TEXT, statuses: [500] } },
  }),
  components: { schemas, securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
  security: [{ token: [] }],
};
