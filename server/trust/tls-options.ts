import type { TlsOptions } from 'node:tls';
import type { HostCertificate } from './host-certificate.js';

/**
 * What a host's TLS server is made with. TLS 1.3 alone: both ends are ours, and a client's certificate then
 * travels encrypted.
 *
 * @param clientCa where given, a client has to show a certificate that one of these (PEM) signed.
 * @param protocols what is spoken behind TLS, best first; a client that speaks none of them is turned away.
 */
export function serverTlsOptions(
  { key, cert }: Pick<HostCertificate, 'key' | 'cert'>,
  { clientCa, protocols }: { clientCa?: string | undefined; protocols: readonly string[] },
): TlsOptions {
  return {
    key,
    cert,
    minVersion: 'TLSv1.3',
    ALPNProtocols: [...protocols],
    ...(clientCa !== undefined && { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
  };
}
