import { remoteHost } from '../client/transport/open.js';
import { Daemon } from '../server/daemon.js';
import { memoryHost } from './memory-host.js';
import type { TestHost, TestHostOptions } from './test-host.js';

export type { Transport } from '../client/transport/transport.js';
export type { AdapterDescription } from '../proto/session/handshake.js';
export type { Counters } from '../server/observatory/counters.js';
export { type EmulatedLink, type EmulatedLinkOptions, emulateLink } from './emulator.js';
export { predictStepMs, type StepCounts, type StepLink } from './step-time.js';
export type { TestHost, TestHostOptions } from './test-host.js';

/**
 * Starts a GPU host for a test, on a machine that needs no GPU:
 *
 * ```ts
 * const host = await testHost({ adapter: 'software' });
 * const gpu = create({ host: host.url });
 * // ...
 * await host.close();
 * ```
 *
 * @throws FarlightError NO_ADAPTER where the adapter cannot be opened (rejects).
 */
export async function testHost(options: TestHostOptions = {}): Promise<TestHost> {
  const adapter = options.adapter ?? 'software';
  if (options.transport === 'memory') return memoryHost(adapter);
  const {
    spares,
    warm,
    peers,
    listen = '127.0.0.1:0',
    contents: root = 'off',
    contentBytes: maxBytes,
  } = options;
  const contents = root === 'off' ? undefined : { root, maxBytes };
  const daemon = await Daemon.start({ listen, adapter, spares, warm, contents, peers });
  const { url, counters } = daemon;
  const description = daemon.adapter;
  if (!description) throw new Error('Farlight bug: a daemon that started has an adapter');
  return { url, transport: remoteHost(url), adapter: description, counters, close: () => daemon.close() };
}
