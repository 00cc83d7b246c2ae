import { hostname, networkInterfaces } from 'node:os';
import { createSecureContext, type TlsOptions } from 'node:tls';
import { clearInterval, setInterval } from '../../link/machine/clock.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { clientAuthorities, givenCertificate } from './given-certificate.js';
import { type HostCertificate, ownCertificate } from './host-certificate.js';
import { machineNames, namedForClients } from './machine-names.js';
import { serverTlsOptions } from './tls-options.js';

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

/** What is shown: a certificate, and whose certificates clients are to have. */
interface Shown {
  certificate: HostCertificate;
  /** PEM; undefined where clients need none. */
  clientCa: string | undefined;
}

/** What a host shows its clients, read anew from time to time: a certificate ends while a host runs on. */
export class HostTls {
  /** The name of the host for clients. */
  readonly name: string;
  readonly #options: HostTlsOptions;
  #shown: Shown;

  /** @throws FarlightError BAD_OPTION, TRUST_UNUSABLE */
  constructor(options: HostTlsOptions) {
    this.#options = options;
    this.name = namedForClients(machine(), options.listen);
    this.#shown = this.#read();
  }

  /** For node:tls, as of now. */
  get options(): TlsOptions {
    return optionsOf(this.#shown);
  }

  /** What clients need to know the host by; undefined where an authority vouches for it. */
  get pin(): string | undefined {
    const { selfSigned, pin } = this.#shown.certificate;
    return selfSigned ? pin : undefined;
  }

  /**
   * Reads the certificate again, which renews the host's own one, and tells of another one. One that cannot be used
   * changes nothing: the last good one is shown until there is another, and the owner is told once.
   *
   * @returns what ends that.
   */
  watch(everyMs: number, onNew: (options: TlsOptions) => void): () => void {
    let told: string | undefined;
    const timer = setInterval(() => {
      try {
        const read = this.#read();
        told = undefined;
        const { certificate, clientCa } = this.#shown;
        if (read.certificate.cert === certificate.cert && read.clientCa === clientCa) return;
        onNew(optionsOf(read));
        this.#shown = read;
      } catch (error) {
        // Whatever it is: nobody above a timer hears of it, and it would end the host with all its sessions.
        const why = messageOf(error);
        if (why !== told) this.#options.warn(why);
        told = why;
      }
    }, everyMs).unref();
    return () => clearInterval(timer);
  }

  #read(): Shown {
    const { files, folder, listen } = this.#options;
    const given = givenCertificate({ cert: files.cert, key: files.key });
    const names = machineNames(machine(), listen);
    const shown = {
      certificate: given ?? ownCertificate({ names, ...(folder !== undefined && { folder }) }),
      clientCa: files.clientCa === undefined ? undefined : clientAuthorities(files.clientCa),
    };
    this.#try(shown);
    return shown;
  }

  /** OpenSSL has demands of its own, such as how long a key is. @throws FarlightError BAD_OPTION */
  #try(shown: Shown): void {
    try {
      createSecureContext(optionsOf(shown));
    } catch (cause) {
      const { cert, key, clientCa } = this.#options.files;
      const options = Object.entries({ '--tls-cert': cert, '--tls-key': key, '--tls-client-ca': clientCa });
      const named = options.filter(([, file]) => file !== undefined).map((each) => each.join(' '));
      // As in error:0A00018F:SSL routines::ee key too small.
      const why = messageOf(cause).split(':').at(-1);
      throw new FarlightError(
        'BAD_OPTION',
        `OpenSSL refuses ${named.join(', ') || "the host's own certificate"} (${why}); name a certificate, and its key, that TLS 1.3 clients take`,
        { cause },
      );
    }
  }
}

function optionsOf({ certificate, clientCa }: Shown): TlsOptions {
  return serverTlsOptions(certificate, { clientCa, protocols: PROTOCOLS });
}

function machine() {
  return { hostname: hostname(), interfaces: networkInterfaces() };
}
