import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { FarlightError } from '../../proto/errors.js';

/** A client's certificate with its key, as PEM, for hosts that ask for one. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

/**
 * The certificate in the files that FARLIGHT_TLS_CERT and FARLIGHT_TLS_KEY name; undefined where they name none.
 *
 * @throws FarlightError BAD_OPTION where the files are not a certificate and its key.
 */
export function clientCertificate(
  env: Readonly<Record<string, string | undefined>>,
): ClientCertificate | undefined {
  const { FARLIGHT_TLS_CERT: certFile, FARLIGHT_TLS_KEY: keyFile } = env;
  if (!certFile && !keyFile) return undefined;
  if (!certFile || !keyFile)
    throw bad('FARLIGHT_TLS_CERT and FARLIGHT_TLS_KEY go together; set both, or neither');
  const found = { cert: read('FARLIGHT_TLS_CERT', certFile), key: read('FARLIGHT_TLS_KEY', keyFile) };
  try {
    createSecureContext(found);
  } catch (cause) {
    throw bad(
      `FARLIGHT_TLS_CERT ${certFile} and FARLIGHT_TLS_KEY ${keyFile} are not a certificate and its key in PEM form`,
      cause,
    );
  }
  return found;
}

function read(variable: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw bad(`${variable} ${file} cannot be read (${code}); name a file that this user may read`, cause);
  }
}

function bad(sentence: string, cause?: unknown): FarlightError {
  return new FarlightError('BAD_OPTION', sentence, cause === undefined ? undefined : { cause });
}
