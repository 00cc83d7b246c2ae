// The same graph on the inference server's engine in this process, which clients ask.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { Engine } from '../../dist/infer/engine/engine.js';
import { LearnedStore } from '../../dist/infer/learned/learned-store.js';
import { constantsOf, firstStates, recordOf, writeServed } from './graphs.mjs';

/** Opens a graph on an engine. Each key is a client, which sends its next request, with its states, when it has an answer. */
export async function openRequests(graph, hosts, keys) {
  const folder = mkdtempSync(join(os.tmpdir(), 'farlight-bench-requests-'));
  writeServed(folder, graph);
  const { hosts: open, adapter } = await hosts();
  // The engine begins with the costs that the application's engine has learned, and the other way round.
  const engine = new Engine({ folder, hosts: open, store: new LearnedStore(adapter), log: console.error });
  await engine.loaded;
  const clients = Array.from({ length: keys }, (_, key) => ({
    record: recordOf(key),
    states: firstStates(graph),
  }));
  const constants = constantsOf(graph);
  return {
    /** Resolves when so many requests, of the clients in turn, have their answers. */
    async pass(count) {
      const ask = async (client, key) => {
        for (let sent = key; sent < count; sent += keys) {
          // The engine owns the tensors that it gets.
          const inputs = [client.record, ...client.states, ...constants].map(copied);
          const { outputs } = await engine.infer({ model: 'graph', inputs });
          client.states = client.states.map(({ name }) => outputs.find((each) => each.name === name));
        }
      };
      await Promise.all(clients.map(ask));
    },
    async close() {
      await engine.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function copied(tensor) {
  return { ...tensor, data: new Uint8Array(tensor.data) };
}
