import { FarlightError } from '../../proto/errors.js';
import { redact } from '../../proto/token.js';

/**
 * The hosts that a person or the environment names; none where the GPU is of this machine.
 *
 * @throws FarlightError BAD_OPTION where a GPU of this machine is named too.
 */
export function namedHosts({
  host,
  adapter,
}: {
  host?: readonly string[] | undefined;
  adapter?: string | undefined;
}): readonly string[] {
  const urls = host ?? (process.env.FARLIGHT_HOST ? [process.env.FARLIGHT_HOST] : []);
  const [first] = urls;
  if (first === undefined || adapter === undefined) return urls;
  throw new FarlightError(
    'BAD_OPTION',
    `--adapter is for a GPU of this machine, but the host ${redact(first)} is named; leave out one of them`,
  );
}
