import { FarlightError, tooManyFiles } from '../../proto/errors.js';
import type { StrangeFile } from '../address/socket-file.js';
import type { HostAddress } from './host-address.js';

type SystemError = NodeJS.ErrnoException;

/** OpenSSL's errors for an answer that is no TLS. */
const NOT_TLS =
  /ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|UNEXPECTED_MESSAGE|RECORD_LAYER_FAILURE)/;
/** A peer's refusal to speak what we offered, in TLS. */
const NO_PROTOCOL = /NO_APPLICATION_PROTOCOL/;
const NO_VERSION = /ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/;
/** A host's refusal of our certificate, or of a client without one. */
const CERTIFICATE_REFUSED =
  /ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_\w+|UNSUPPORTED_CERTIFICATE)/;

export function unreachable({ url, host }: HostAddress, error: SystemError): FarlightError {
  const code = error.code ?? error.message;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return new FarlightError(
      'UNREACHABLE',
      `no farlight host at ${url}: the name ${host} is not known here (${code}); check how it is written`,
      { cause: error },
    );
  }
  return tooManyFiles(error) ?? noHost({ url }, code, error);
}

/** The error for an address without a host. By default another server answers there. */
export function noHost(
  { url }: Pick<HostAddress, 'url'>,
  reason = 'the server there is not a farlight host',
  cause?: unknown,
): FarlightError {
  return new FarlightError(
    'UNREACHABLE',
    `no farlight host at ${url} (${reason}); start one there with: farlight serve`,
    { cause },
  );
}

export function silent({ url }: Pick<HostAddress, 'url'>, timeoutMs: number): FarlightError {
  return new FarlightError(
    'UNREACHABLE',
    `nothing answers at ${url} within ${timeoutMs / 1000} seconds; start a host there with: farlight serve`,
  );
}

/** The error for a failed handshake, by the error of node:tls. */
export function notSecured(address: HostAddress, error: SystemError): FarlightError {
  const code = error.code ?? error.message;
  if (NO_PROTOCOL.test(code)) return notFarlight(address);
  if (NO_VERSION.test(code)) {
    return new FarlightError(
      'UNREACHABLE',
      `the server at ${address.url} does not speak TLS 1.3; have the host there, or the proxy before it, speak TLS 1.3`,
      { cause: error },
    );
  }
  if (NOT_TLS.test(code)) return notTls(address, error);
  if (code === 'ECONNRESET' || code === 'EPIPE' || code === 'ERR_SSL_UNEXPECTED_EOF_WHILE_READING') {
    return new FarlightError(
      'UNREACHABLE',
      `the connection to ${address.url} was closed before it was secure; see that a farlight host with TLS listens there`,
      { cause: error },
    );
  }
  return refusedCertificate(address, error) ?? untrusted(address, code, error);
}

export function notSecuredInTime({ url }: HostAddress, timeoutMs: number): FarlightError {
  return new FarlightError(
    'UNREACHABLE',
    `the server at ${url} did not answer in TLS within ${timeoutMs / 1000} seconds; see that a farlight host with TLS listens there`,
  );
}

/** The error for a certificate that Node refused, by OpenSSL's word for why. */
export function untrusted(address: HostAddress, code: string, cause?: unknown): FarlightError {
  if (code === 'CERT_HAS_EXPIRED') return expired(address);
  if (code === 'CERT_NOT_YET_VALID') return notYetValid(address);
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return new FarlightError(
      'UNTRUSTED_HOST',
      `the certificate at ${address.url} is not for ${address.host}; use the name that it is for, or the address with ?ca= that the host printed`,
      { cause },
    );
  }
  if (/SELF_SIGNED|UNABLE_TO_|CERT_UNTRUSTED|INVALID_CA|CERT_CHAIN/.test(code)) {
    return new FarlightError(
      'UNTRUSTED_HOST',
      `no authority that this machine trusts signed the certificate at ${address.url}; use the address with ?ca= that the host printed when it started`,
      { cause },
    );
  }
  return new FarlightError(
    'UNTRUSTED_HOST',
    `the connection to ${address.url} could not be made secure (${code}); see that the host's certificate is in order`,
    { cause },
  );
}

export function wrongPin({ url }: HostAddress): FarlightError {
  return new FarlightError(
    'UNTRUSTED_HOST',
    `the server at ${url} has another key than the ca in the address says, so nothing was sent to it; if the host was set up anew, get its new address from its owner`,
  );
}

export function expired({ url }: HostAddress): FarlightError {
  return new FarlightError(
    'UNTRUSTED_HOST',
    `the certificate at ${url} has expired; have its owner start the host again, which renews its own one, or bring a new one`,
  );
}

export function notYetValid({ url }: HostAddress): FarlightError {
  return new FarlightError(
    'UNTRUSTED_HOST',
    `the certificate at ${url} is not valid yet; see that the clocks of this machine and of the host are right`,
  );
}

/** The error for a plaintext port at which another user's program listens. Without `uid` its user is unknown. */
export function otherUser({ url, target }: HostAddress, uid: number | undefined): FarlightError {
  const found =
    uid === undefined
      ? `it cannot be told which user's program listens at ${url}`
      : `the program that listens at ${url} belongs to another user of this machine (${uid})`;
  return new FarlightError(
    'UNTRUSTED_HOST',
    `${found}, so nothing was sent to it; start a host of your own there, ask its owner for an address with a token, ` +
      `or trust that user with grpc://${target}?uid=${uid ?? 'any'}`,
  );
}

/** The error for a unix socket that may be another user's. */
export function strangeSocket({ url, target }: HostAddress, { path, uid }: StrangeFile): FarlightError {
  const found =
    uid === undefined ? `others may put files into ${path}` : `${path} belongs to another user (${uid})`;
  return new FarlightError(
    'UNTRUSTED_HOST',
    `${url} may be another user's, since ${found}, so nothing was sent to it; have the host listen in a folder of yours, ` +
      `or trust that user with ${target}?uid=${uid ?? 'any'}`,
  );
}

export function notFarlight({ url }: HostAddress): FarlightError {
  return noHost({ url }, 'the server there speaks TLS, but not this protocol');
}

function notTls(address: HostAddress, cause: unknown): FarlightError {
  const { url, target, port, host } = address;
  return new FarlightError(
    'UNREACHABLE',
    `the server at ${url} does not speak TLS; if it is a plaintext host on this machine or at the end of a tunnel, ` +
      `write grpc://127.0.0.1:${port}, otherwise start it with: farlight serve --listen ${host ? target : 'HOST:PORT'}`,
    { cause },
  );
}

/**
 * The error for a secured connection that broke because the host does not accept our certificate, or misses it;
 * undefined for any other reason. In TLS 1.3 the host says so only after we are connected.
 */
export function refusedCertificate({ url }: HostAddress, error: SystemError): FarlightError | undefined {
  if (!CERTIFICATE_REFUSED.test(error.code ?? '')) return undefined;
  return new FarlightError(
    'UNAUTHORIZED',
    `the host at ${url} asks for a client certificate that it trusts; name one with FARLIGHT_TLS_CERT and FARLIGHT_TLS_KEY`,
    { cause: error },
  );
}

/** The error for a plaintext connection to a port where TLS is spoken. */
export function speaksTls({ url, target }: HostAddress): FarlightError {
  return new FarlightError(
    'UNREACHABLE',
    `the server at ${url} speaks TLS; write grpcs://${target}, with the token and the ?ca= of that host`,
  );
}

/** The error for a connection whose peer hung up before it said anything. */
export function hungUp({ url, scheme }: HostAddress): FarlightError {
  if (scheme !== 'grpcs') {
    return noHost({ url }, 'the server there hung up without a word');
  }
  return new FarlightError(
    'UNAUTHORIZED',
    `the host at ${url} hung up without a word, as it does where it does not trust the client's certificate; ` +
      'name one that it trusts with FARLIGHT_TLS_CERT and FARLIGHT_TLS_KEY',
  );
}
