import { autoOnOrOff, onOrOff, type SessionSwitches } from '../session-switches.js';
import type { LinkOptions } from '../transport/host-link.js';
import type { Transport } from '../transport/transport.js';
import { webTransport } from './web-transport.js';

/** As in Node, without options that a page cannot have. */
export interface CreateOptions extends LinkOptions, SessionSwitches {
  /**
   * The address for pages: `wss://TOKEN@HOST:PORT`, or `ws://127.0.0.1:7071` on this machine. Default: the
   * server that the page came from.
   */
  host?: string | undefined;
}

/** Completes the options of `create`. @throws FarlightError BAD_OPTION or BAD_URL */
export function parseOptions({ host, grouping, reuse, ahead, ...link }: CreateOptions): {
  transport: () => Promise<Transport>;
  grouping: 'on' | 'off';
  reuse: 'on' | 'off';
  ahead: 'auto' | 'on' | 'off';
} {
  const transport = webTransport(host, link);
  return {
    transport: async () => transport,
    grouping: onOrOff('grouping', grouping),
    reuse: onOrOff('reuse', reuse),
    ahead: autoOnOrOff('ahead', ahead),
  };
}
