import { connect as connectTls } from 'node:tls';
import { clearTimeout, setTimeout } from '../../../link/machine/clock.js';
import { native } from '../../../link/machine/globals.js';
import type { FarlightError } from '../../../proto/errors.js';
import type { HostAddress } from './host-address.js';
import { hungUp, speaksTls } from './socket-errors.js';

/** How long the other end may take to show that it speaks TLS, in milliseconds. */
const PROBE_TIMEOUT_MS = 2000;

/**
 * Why a peer hung up, or answered nonsense, before it said anything of the protocol. A TLS server that hears plaintext
 * says nothing that could be told from a crash; so it is asked once more, in TLS, and told nothing.
 */
export async function explainHangUp(
  address: HostAddress,
  timeoutMs: number = PROBE_TIMEOUT_MS,
): Promise<FarlightError> {
  const plaintext = address.scheme === 'grpc';
  return plaintext && (await answersInTls(address, timeoutMs)) ? speaksTls(address) : hungUp(address);
}

function answersInTls({ host, port }: HostAddress, timeoutMs: number): Promise<boolean> {
  return new native.Promise((resolve) => {
    // Whom it would have to be is unknown here, and nothing is sent.
    const probe = connectTls({ host, port, rejectUnauthorized: false });
    const settle = (answered: boolean) => {
      clearTimeout(timer);
      probe.destroy();
      resolve(answered);
    };
    const timer = setTimeout(() => settle(false), timeoutMs);
    probe.once('secureConnect', () => settle(true));
    probe.on('error', () => settle(false));
    probe.once('close', () => settle(false));
  });
}
