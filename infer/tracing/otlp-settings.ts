import { FarlightError } from '../../proto/errors.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where spans go, and which. */
export interface OtlpSettings {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The attributes of the server. */
  readonly resource: Readonly<Record<string, string>>;
  /** Whether a trace is recorded. @param parent whether its parent is, if it has one. */
  samples(traceId: string, parent: boolean | undefined): boolean;
}

/**
 * The settings, by the variables of every program that speaks OTLP (https://opentelemetry.io/docs/specs/otel/configuration).
 * Undefined where spans go nowhere.
 *
 * @param address of the collector, as `--otlp` says it; it counts more than the variables.
 * @throws FarlightError BAD_OPTION
 */
export function otlpSettings(address: string | undefined, env: Environment): OtlpSettings | undefined {
  if (address === undefined && (env.OTEL_SDK_DISABLED === 'true' || env.OTEL_TRACES_EXPORTER === 'none')) {
    return undefined;
  }
  const own = address === undefined ? env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT : undefined;
  const base = address ?? env.OTEL_EXPORTER_OTLP_ENDPOINT;
  const text = own || (base && `${base.replace(/\/+$/, '')}/v1/traces`);
  if (!text) return undefined;
  const protocol = env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ?? env.OTEL_EXPORTER_OTLP_PROTOCOL;
  if (address === undefined && protocol === 'grpc') {
    throw new FarlightError(
      'BAD_OPTION',
      'OTEL_EXPORTER_OTLP_PROTOCOL asks for grpc, and spans are sent over HTTP: name the collector’s port for HTTP with --otlp http://HOST:4318, or set OTEL_TRACES_EXPORTER=none',
    );
  }
  const headers = env.OTEL_EXPORTER_OTLP_TRACES_HEADERS ?? env.OTEL_EXPORTER_OTLP_HEADERS;
  const attributes = pairsOf(env.OTEL_RESOURCE_ATTRIBUTES, 'OTEL_RESOURCE_ATTRIBUTES');
  return {
    url: httpUrl(text, own || base),
    headers: pairsOf(headers, 'OTEL_EXPORTER_OTLP_HEADERS'),
    resource: {
      ...attributes,
      'service.name': env.OTEL_SERVICE_NAME || attributes['service.name'] || 'farlight',
    },
    samples: samplerOf(env),
  };
}

/** @param given the same as its owner wrote it. @throws FarlightError BAD_OPTION */
function httpUrl(text: string, given = text): string {
  if (URL.canParse(text) && /^https?:/.test(text)) return text;
  throw new FarlightError(
    'BAD_OPTION',
    `"${given}" is no address of a collector for spans; write --otlp http://HOST:4318`,
  );
}

/** Reads `KEY=VALUE,KEY=VALUE`, whose values are encoded as in URLs. */
function pairsOf(text: string | undefined, name: string): Record<string, string> {
  const pairs: Record<string, string> = {};
  for (const pair of (text ?? '').split(',').filter((each) => each.trim() !== '')) {
    const [, key = '', value = ''] = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/.exec(pair) ?? [];
    try {
      if (key === '') throw new Error('no key');
      pairs[key] = decodeURIComponent(value);
    } catch {
      throw new FarlightError(
        'BAD_OPTION',
        `${name} has an entry that is no KEY=VALUE; write KEY=VALUE, with commas between`,
      );
    }
  }
  return pairs;
}

/** @throws FarlightError BAD_OPTION */
function samplerOf(env: Environment): OtlpSettings['samples'] {
  const name = env.OTEL_TRACES_SAMPLER || 'parentbased_always_on';
  const ofRoot = rootSampler(name.replace(/^parentbased_/, ''), env.OTEL_TRACES_SAMPLER_ARG);
  if (!name.startsWith('parentbased_')) return ofRoot;
  return (traceId, parent) => parent ?? ofRoot(traceId);
}

function rootSampler(name: string, argument = '1'): (traceId: string) => boolean {
  if (name === 'always_on') return () => true;
  if (name === 'always_off') return () => false;
  const ratio = Number(argument);
  if (name === 'traceidratio' && ratio >= 0 && ratio <= 1) {
    // All servers of a trace decide alike, by the last digits of its id.
    return (traceId) => Number.parseInt(traceId.slice(-13), 16) < ratio * 16 ** 13;
  }
  throw new FarlightError(
    'BAD_OPTION',
    `OTEL_TRACES_SAMPLER=${name} with OTEL_TRACES_SAMPLER_ARG=${argument} is not known; use always_on, always_off, or traceidratio with a number from 0 to 1, also with parentbased_ before it`,
  );
}
