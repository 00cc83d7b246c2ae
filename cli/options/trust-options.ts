import type { Command } from 'commander';

/** The owner's options for who may use the server, and for its certificate. */
export interface TrustOptions {
  requireToken?: boolean;
  allowLocalUsers?: boolean;
  behindProxy?: string;
  tlsCert?: string;
  tlsKey?: string;
  tlsClientCa?: string;
}

/**
 * @param server the word for the server in the help.
 * @param localUsers the help of --allow-local-users.
 */
export function addTrustOptions(
  command: Command,
  server: 'host' | 'server' | 'portal',
  localUsers: string,
): Command {
  return command
    .option('--require-token', 'use TLS and ask for a token on loopback, too')
    .option('--allow-local-users', localUsers)
    .option(
      '--behind-proxy <address>',
      `HOST:PORT of a proxy in front of this ${server}, which ends TLS: the ${server} then asks for tokens in plaintext`,
    )
    .option('--tls-cert <file>', `your own certificate (PEM); without it the ${server} makes one`)
    .option('--tls-key <file>', 'the private key of that certificate (PEM)')
    .option(
      '--tls-client-ca <file>',
      'accept only clients with a certificate that one of these has signed (PEM)',
    );
}

/** The options of `hostTrust` that these become. */
export function trustOptions(options: TrustOptions) {
  const { requireToken, allowLocalUsers, behindProxy, tlsCert, tlsKey, tlsClientCa } = options;
  const tlsFiles = { cert: tlsCert, key: tlsKey, clientCa: tlsClientCa };
  return { requireToken, allowLocalUsers, behindProxy, tlsFiles };
}
