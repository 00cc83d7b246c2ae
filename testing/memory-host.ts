import { setImmediate } from '../link/machine/clock.js';
import { native } from '../link/machine/globals.js';
import { ExecutorSession } from '../server/executor/session.js';
import { findDeviceMemory } from '../server/gpu/device-memory.js';
import { openGpu } from '../server/gpu/open-gpu.js';
import { newCounters } from '../server/observatory/counters.js';
import { type MemoryPeer, memoryTransport } from './memory-transport.js';
import type { TestHost } from './test-host.js';

/** A host in this process. Its sessions share one Dawn and the memory of the test. */
export async function memoryHost(choice: string): Promise<TestHost> {
  const { gpu, adapter, wgslLanguageFeatures } = await openGpu(choice);
  // Dropped when the host closes: Dawn keeps the process alive for as long as its GPU is reachable.
  let held: GPU | undefined = gpu;
  const counters = newCounters();
  const peers = new Set<MemoryPeer>();

  const transport = memoryTransport({
    adapter,
    wgslLanguageFeatures,
    accept(peer) {
      if (!held) {
        // Reported in a later turn, as a host across the network would.
        peer.end('SHUTTING_DOWN', 'the test host is closed');
        return { receive: () => {}, close: () => {} };
      }
      peers.add(peer);
      counters.sessionsOpened++;
      counters.sessionsActive++;
      const session = new ExecutorSession(
        held,
        {
          send(frame) {
            counters.framesDown++;
            counters.bytesDown += frame.length;
            peer.send(frame);
          },
          end: (code, reason) => peer.end(code, reason),
        },
        { findCapacity: async () => (await findDeviceMemory(adapter)).capacity },
      );
      return {
        receive(frame) {
          counters.framesUp++;
          counters.bytesUp += frame.length;
          session.receive(frame);
        },
        close() {
          if (peers.delete(peer)) counters.sessionsActive--;
          session.close();
        },
      };
    },
  });

  return {
    url: transport.target,
    transport,
    adapter,
    counters,
    async close() {
      held = undefined;
      for (const peer of peers) peer.end('SHUTTING_DOWN', 'the test host was closed');
      // Sessions close in later turns of the event loop, after the frames that are under way.
      while (peers.size > 0) await new native.Promise((resolve) => setImmediate(resolve));
    },
  };
}
