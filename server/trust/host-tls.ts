import { hostname, networkInterfaces } from 'node:os';
import { createSecureContext, type TlsOptions } from 'node:tls';
import { clearInterval, setInterval } from '../../link/machine/clock.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { clientAuthorities, givenCertificate } from './given-certificate.js';
import { type HostCertificate, ownCertificate } from './host-certificate.js';
import { machineNames, namedForClients } from './machine-names.js';

/** The files of the host's owner, in PEM form. */
export interface TlsFiles {
  /** The certificate to show, followed by its chain; needs `key`. Default: the host makes its own. */
  cert?: string | undefined;
  key?: string | undefined;
  /** The authorities whose certificates clients must show. Default: clients need no certificate. */
  clientCa?: string | undefined;
}

export interface HostTlsOptions {
  /** The host that --listen names, without brackets. */
  listen: string;
  files: TlsFiles;
  /** The folder for the certificate that the host makes. Default: the user's private folder for it. */
  folder?: string | undefined;
  /** Tells the host's owner why a certificate is unusable, while the host runs. */
  warn(sentence: string): void;
}

/** The protocols inside TLS (ALPN): sessions, and gRPC. */
const PROTOCOLS = ['farlight', 'h2'];

/** The host's certificate, and the authorities for its clients' certificates. */
interface Credentials {
  certificate: HostCertificate;
  /** PEM; undefined where clients need no certificate. */
  clientCa: string | undefined;
}

/** The TLS settings of a host. They are read again from time to time, since a certificate expires while a host runs. */
export class HostTls {
  /** The host's name in the address that clients use. */
  readonly name: string;
  readonly #options: HostTlsOptions;
  #credentials: Credentials;

  /** @throws FarlightError BAD_OPTION, TRUST_UNUSABLE */
  constructor(options: HostTlsOptions) {
    this.#options = options;
    this.name = namedForClients(machine(), options.listen);
    this.#credentials = this.#read();
  }

  /** The options for node:tls, as they are now. */
  get options(): TlsOptions {
    return optionsOf(this.#credentials);
  }

  /** The pin by which clients recognise the host; undefined where an authority signed the certificate. */
  get pin(): string | undefined {
    const { selfSigned, pin } = this.#credentials.certificate;
    return selfSigned ? pin : undefined;
  }

  /**
   * Reads the certificate again at intervals, which also renews the host's own, and calls `onNew` when it has changed.
   * Where the new one is unusable: keep the last good certificate, and warn the owner once.
   *
   * @returns a function that stops it.
   */
  watch(everyMs: number, onNew: (options: TlsOptions) => void): () => void {
    let warned: string | undefined;
    const timer = setInterval(() => {
      try {
        const read = this.#read();
        warned = undefined;
        const { certificate, clientCa } = this.#credentials;
        if (read.certificate.cert === certificate.cert && read.clientCa === clientCa) return;
        onNew(optionsOf(read));
        this.#credentials = read;
      } catch (error) {
        // Catch everything: an exception out of a timer would end the host and all its sessions.
        const why = messageOf(error);
        if (why !== warned) this.#options.warn(why);
        warned = why;
      }
    }, everyMs).unref();
    return () => clearInterval(timer);
  }

  #read(): Credentials {
    const { files, folder, listen } = this.#options;
    const given = givenCertificate({ cert: files.cert, key: files.key });
    const names = machineNames(machine(), listen);
    const credentials = {
      certificate: given ?? ownCertificate({ names, ...(folder !== undefined && { folder }) }),
      clientCa: files.clientCa === undefined ? undefined : clientAuthorities(files.clientCa),
    };
    this.#try(credentials);
    return credentials;
  }

  /** Has OpenSSL check the files: it has rules of its own, such as a minimum key length. @throws FarlightError BAD_OPTION */
  #try(credentials: Credentials): void {
    try {
      createSecureContext(optionsOf(credentials));
    } catch (cause) {
      const { cert, key, clientCa } = this.#options.files;
      const options = Object.entries({ '--tls-cert': cert, '--tls-key': key, '--tls-client-ca': clientCa });
      const named = options.filter(([, file]) => file !== undefined).map((each) => each.join(' '));
      // The reason is the last part of, for example, error:0A00018F:SSL routines::ee key too small.
      const why = messageOf(cause).split(':').at(-1);
      throw new FarlightError(
        'BAD_OPTION',
        `OpenSSL refuses ${named.join(', ') || "the host's own certificate"} (${why}); name a certificate, and its key, that TLS 1.3 clients accept`,
        { cause },
      );
    }
  }
}

function optionsOf({ certificate, clientCa }: Credentials): TlsOptions {
  return serverTlsOptions(certificate, { clientCa, protocols: PROTOCOLS });
}

/**
 * The options for a host's TLS server. TLS 1.3 alone: both ends are Farlight's, and it encrypts a client's certificate.
 *
 * @param clientCa where given, a client must show a certificate that one of these authorities (PEM) signed.
 * @param protocols the protocols inside TLS, best first. The server rejects a client that speaks none of them.
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

function machine() {
  return { hostname: hostname(), interfaces: networkInterfaces() };
}
