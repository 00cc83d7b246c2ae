import { onOrOff, type SessionSwitches } from '../session-switches.js';
import type { LinkOptions } from '../transport/host-link.js';
import type { Transport } from '../transport/transport.js';
import { webTransport } from './web-transport.js';

/** As in Node, without what a page has not. */
export interface CreateOptions extends LinkOptions, SessionSwitches {
  /**
   * Where pages reach the host: `wss://TOKEN@HOST:PORT`, or `ws://127.0.0.1:7071` on this machine. Default: where the
   * page came from.
   */
  host?: string | undefined;
}

/** Options of `create`, completed. @throws FarlightError BAD_OPTION or BAD_URL */
export function parseOptions({ host, batch, reuse, ...link }: CreateOptions): {
  transport: () => Promise<Transport>;
  batch: 'on' | 'off';
  reuse: 'on' | 'off';
} {
  const transport = webTransport(host, link);
  return {
    transport: async () => transport,
    batch: onOrOff('batch', batch),
    reuse: onOrOff('reuse', reuse),
  };
}
