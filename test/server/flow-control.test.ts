import { once } from 'node:events';
import { connect } from 'node:http2';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Daemon } from '#farlight/server/daemon/daemon.js';
import { FAKE_EXECUTOR } from '../support/session-client.js';

const WINDOW = 16 * 1024 * 1024;
let daemon: Daemon;

beforeAll(async () => {
  daemon = await Daemon.start({ listen: '127.0.0.1:0', executorEntry: FAKE_EXECUTOR });
});
afterAll(() => daemon.close());

// grpc-js has no option for this; these are the private fields that flow-control.ts reaches into,
// seen from the other end of the wire.
it('a client may send 16 MiB ahead on a stream and on the connection', async () => {
  const session = connect(daemon.url.replace('grpc:', 'http:'));
  const [settings] = await once(session, 'remoteSettings');
  expect(settings.initialWindowSize).toBe(WINDOW);
  // The connection's window is widened by an update of its own, behind the settings.
  while ((session.state.remoteWindowSize ?? 0) < WINDOW) {
    await new Promise<void>((resolve) => session.ping(() => resolve()));
  }
  expect(session.state.remoteWindowSize).toBe(WINDOW);
  session.destroy();
});
