import { registeredTelemetry } from '../../client/observers/open-telemetry.js';
import type { Tracing } from '../../infer/statistics/tracing.js';
import { openTracing } from '../../infer/tracing/open-tracing.js';
import { packageVersion } from '../../link/machine/package-version.js';
import type { Log } from '../../server/observatory/log.js';

/** The spans of a command that serves: for the collector of `--otlp`, of the process or of the environment. */
export function commandTracing(otlp: string | undefined, log: Log): Tracing | undefined {
  return openTracing({
    address: otlp,
    api: registeredTelemetry(),
    env: process.env,
    version: packageVersion(),
    warn: (why) => log.warn({ why }, 'no spans'),
  });
}
