import { messageOf } from '../../proto/errors.js';
import type { Host } from './messages.js';

/**
 * Opens a line between each two hosts. One connects to the other, if its owner has named that one. Returns undefined when
 * all lines are open, and otherwise why one is not. Rejects with an Error that names the host if one cannot be reached.
 */
export async function joinHosts(
  hosts: readonly Host[],
  addresses: readonly string[],
): Promise<string | undefined> {
  // Nothing is loaded yet, so this only opens their GPUs.
  await Promise.all(hosts.map((host) => host.ask({ ask: 'loaded', weights: 0 })));
  const join = async (a: number, b: number): Promise<string | undefined> => {
    const [accepting, connecting] = [hosts[a] as Host, hosts[b] as Host];
    let ticket: string | undefined;
    try {
      ({ ticket } = await accepting.ask({ ask: 'accept', peer: b }));
      if (ticket === undefined) return 'a host gave out no ticket';
      await connecting.ask({ ask: 'connect', peer: a, host: addresses[a] as string, ticket });
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  };
  const pairs = hosts.flatMap((_, b) => hosts.slice(0, b).map((__, a) => [a, b] as const));
  const failures = await Promise.all(
    pairs.map(async ([a, b]) => {
      const why = await join(a, b);
      return why === undefined ? undefined : (await join(b, a)) && why;
    }),
  );
  return failures.find((why) => why !== undefined);
}
