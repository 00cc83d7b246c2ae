import { timeOrigin } from '../../link/machine/clock.js';
import { PROCESS_CLOCK } from '../../link/machine/timer.js';
import type { Tracing } from '../statistics/tracing.js';
import { ApiTracing } from './api-tracing.js';
import { otlpSettings } from './otlp-settings.js';
import { OtlpTracing } from './otlp-tracing.js';

export interface OpenTracingOptions {
  /** The collector's address, if the owner names one. */
  readonly address: string | undefined;
  /** The package `@opentelemetry/api`, if the process has set it up. */
  readonly api: typeof import('@opentelemetry/api') | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of this package. */
  readonly version: string;
  /** Tells the server's owner that spans cannot be sent. */
  warn(sentence: string): void;
}

/**
 * Sends traces to the collector that the owner names, or else by the OpenTelemetry of the process, or else to the collector
 * in the environment. Undefined if there is none of these.
 *
 * @throws FarlightError BAD_OPTION
 */
export function openTracing({ address, api, env, version, warn }: OpenTracingOptions): Tracing | undefined {
  const time = (at: number) => timeOrigin + at;
  if (address === undefined && api) return new ApiTracing(api, { version, time });
  const settings = otlpSettings(address, env);
  return settings && new OtlpTracing({ settings, version, clock: PROCESS_CLOCK, time, warn });
}
