import { afterEach, describe, expect, it } from 'vitest';
import { remoteHost } from '#farlight/client/transport/open.js';
import type { HostView } from '#farlight/server/observatory/host-view.js';
import { HELLO, SessionClient } from '../support/clients/session-client.js';
import { runFarlight } from '../support/hosts/farlight-command.js';
import { ServeProcess } from '../support/hosts/serve-process.js';
import { freePort } from '../support/machine/free-port.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function serve() {
  const host = await ServeProcess.start();
  cleanups.push(() => {
    host.child.kill();
    return host.ended;
  });
  const page = /dashboard: http:\/\/(\S+)/.exec(host.stdout)?.[1] ?? '';
  const client = new SessionClient(remoteHost(host.url), { ...HELLO, program: 'app.mjs' });
  await client.welcome;
  return { host, page, client };
}

const top = (...args: string[]) => runFarlight(['top', ...args]);

describe('farlight top', () => {
  it('farlight top prints the state once without a terminal, as plain text or as JSON', async () => {
    const { page, host } = await serve();
    const printed = await top('--dashboard', page);
    expect(printed).toMatchObject({ code: 0, stderr: '' });
    expect(printed.stdout).toContain(host.url);
    expect(printed.stdout).toMatch(/^app\.mjs +default /m);
    expect(printed.stdout).not.toContain('\u001b');
    // As the host prints it, and as a browser shows it.
    for (const pasted of [`http://${page}`, `http://${page}/`])
      expect((await top('--dashboard', pasted)).stdout).toContain(host.url);
    const { sessions } = JSON.parse((await top('--dashboard', page, '--json')).stdout) as HostView;
    expect(sessions).toMatchObject([{ program: 'app.mjs', adapter: 'null' }]);
  });

  it('farlight top without a dashboard says in a sentence what to do', async () => {
    const { code, stdout, stderr } = await top('--dashboard', `127.0.0.1:${await freePort()}`);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(
      /^farlight: there is no dashboard of a Farlight host, inference server or stream at http:\/\/127\.0\.0\.1:\d+ \(ECONNREFUSED\); start one .*\n$/,
    );
  });
});

describe('the metrics of a host', () => {
  it('Prometheus can read the metrics, which have conventional names and neither programs nor secrets', async () => {
    const { page, client, host } = await serve();
    const { sessionId } = await client.welcome;
    client.link.send(new Uint8Array([0, 0, 0]));
    client.link.close();
    await client.closed;
    await host.logged('session ended');
    const response = await fetch(`http://${page}/metrics`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const text = await response.text();
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    const value = (name: string) => Number(lines.find((line) => line.startsWith(`${name} `))?.split(' ')[1]);
    expect({
      up: value('farlight_gpu_up'),
      open: value('farlight_sessions_open'),
      opened: value('farlight_sessions_total'),
      closed: value('farlight_session_ends_total{code="CLOSED"}'),
      lost: value('farlight_session_ends_total{code="EXECUTOR_LOST"}'),
      bytes: value('farlight_bytes_received_total'),
    }).toEqual({ up: 1, open: 0, opened: 1, closed: 1, lost: 0, bytes: 3 });
    expect(value('process_cpu_seconds_total')).toBeGreaterThan(0);
    expect(text).not.toContain('app.mjs');
    expect(text).not.toContain(sessionId.slice(0, 6));
    // The delay of the event loop is not known at the first request.
    for (const line of lines) expect(line).toMatch(/^[a-z0-9_]+(\{[^}]*\})? (-?[0-9.e+-]+|Nan)$/i);
    // Each metric has a help and a type; the name of a counter ends in _total.
    const types = [...text.matchAll(/^# TYPE (farlight_\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]);
    expect(types.length).toBeGreaterThan(20);
    for (const [name, type] of types) expect(name?.endsWith('_total')).toBe(type === 'counter');
  });
});
