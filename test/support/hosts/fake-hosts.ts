import { afterEach } from 'vitest';
import { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import type { SessionClient } from '../clients/session-client.js';
import { FAKE_EXECUTOR } from '../repository.js';
import { ACTION } from './fake-executor.mjs';

/** Hosts on free ports of loopback whose executors only say what they are told, closed after each test of the file. */
export function fakeHosts(): (options?: DaemonOptions) => Promise<Daemon> {
  const daemons: Daemon[] = [];
  afterEach(async () => {
    await Promise.all(daemons.splice(0).map((daemon) => daemon.close()));
  });
  return async (options = {}) => {
    const daemon = await Daemon.start({ listen: '127.0.0.1:0', executorEntry: FAKE_EXECUTOR, ...options });
    daemons.push(daemon);
    return daemon;
  };
}

/** The process of a session's fake executor, by id. */
export async function pidOf(client: SessionClient): Promise<number> {
  return Number(Buffer.from(await client.ask(ACTION.pid)).toString());
}
