import { hostname, networkInterfaces } from 'node:os';
import type { TlsOptions } from 'node:tls';
import { clearInterval, setInterval } from '../../link/clock.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { clientAuthorities, givenCertificate } from '../trust/given-certificate.js';
import { type HostCertificate, ownCertificate } from '../trust/host-certificate.js';
import { machineNames, namedForClients } from '../trust/machine-names.js';
import { serverTlsOptions } from '../trust/tls-options.js';

/** Files of the host's owner, in PEM form. */
export interface TlsFiles {
  /** The certificate to show, with what leads to its authority; needs `key`. Default: one that the host makes. */
  cert?: string | undefined;
  key?: string | undefined;
  /** Clients have to show a certificate that one of these signed. Default: none is asked for. */
  clientCa?: string | undefined;
}

export interface HostTlsOptions {
  /** The host that --listen names, without brackets. */
  listen: string;
  files: TlsFiles;
  /** Where the certificate that the host makes is kept. Default: the user's private folder for it. */
  folder?: string | undefined;
  /** Tells the host's owner what is wrong with the certificate while the host runs. */
  warn(sentence: string): void;
}

/** What is spoken behind TLS: sessions, and gRPC. */
const PROTOCOLS = ['farlight', 'h2'];

/** What a host shows its clients, read anew from time to time: a certificate ends while a host runs on. */
export class HostTls {
  /** The name of the host for clients. */
  readonly name: string;
  readonly #options: HostTlsOptions;
  #certificate: HostCertificate;
  #clientCa: string | undefined;

  /** @throws FarlightError BAD_OPTION, TRUST_UNUSABLE */
  constructor(options: HostTlsOptions) {
    this.#options = options;
    this.name = namedForClients(machine(), options.listen);
    [this.#certificate, this.#clientCa] = this.#read();
  }

  /** For node:tls, as of now. */
  get options(): TlsOptions {
    return serverTlsOptions(this.#certificate, { clientCa: this.#clientCa, protocols: PROTOCOLS });
  }

  /** What clients need to know the host by; undefined where an authority vouches for it. */
  get pin(): string | undefined {
    return this.#certificate.selfSigned ? this.#certificate.pin : undefined;
  }

  /**
   * Reads the certificate again, which renews the host's own one, and tells of another one.
   *
   * @returns what ends that.
   */
  watch(everyMs: number, onNew: (options: TlsOptions) => void): () => void {
    const timer = setInterval(() => {
      try {
        const [certificate, clientCa] = this.#read();
        if (certificate.cert === this.#certificate.cert && clientCa === this.#clientCa) return;
        [this.#certificate, this.#clientCa] = [certificate, clientCa];
        onNew(this.options);
      } catch (error) {
        // The one that was good when it was read last is shown until there is another.
        if (!(error instanceof FarlightError)) throw error;
        this.#options.warn(messageOf(error));
      }
    }, everyMs).unref();
    return () => clearInterval(timer);
  }

  #read(): [HostCertificate, string | undefined] {
    const { files, folder, listen } = this.#options;
    const given = givenCertificate({ cert: files.cert, key: files.key });
    const names = machineNames(machine(), listen);
    return [
      given ?? ownCertificate({ names, ...(folder !== undefined && { folder }) }),
      files.clientCa === undefined ? undefined : clientAuthorities(files.clientCa),
    ];
  }
}

function machine() {
  return { hostname: hostname(), interfaces: networkInterfaces() };
}
