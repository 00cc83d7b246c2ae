import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { TokenStore } from '#farlight/server/trust/token-store.js';
import { outputOf, type Running } from '../support/hosts/farlight-command.js';
import { addressIn, SERVE_ALONE } from '../support/hosts/serve-process.js';
import { freePort } from '../support/machine/free-port.js';
import { until } from '../support/machine/processes.js';
import { CLI } from '../support/repository.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
const children: ChildProcessWithoutNullStreams[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exited;
  }
  temporary.remove();
});

/** `farlight serve` with TLS and its tokens below `config`. `where` redirects its output in a shell. */
function serve(config: string, where = '', listen = 'grpcs://127.0.0.1:0'): Running {
  const line = `exec ${process.execPath} ${CLI} ${SERVE_ALONE.join(' ')} --listen ${listen} ${where}`;
  const running = outputOf(spawn('bash', ['-c', line], { env: { ...process.env, XDG_CONFIG_HOME: config } }));
  children.push(running.child);
  return running;
}

const ready = ({ printed, child }: Running) =>
  until(() => printed.stdout.includes('adapter:') || child.exitCode !== null);

/** The sentences of a host, without the lines of its log. */
const sentences = (stderr: string) => stderr.split('\n').filter((line) => line !== '' && line[0] !== '{');

describe('farlight serve when something fails after it listens', () => {
  it('farlight serve ends with one sentence if its tokens cannot be read', async () => {
    const config = temporary.make();
    const tokens = join(config, 'farlight/host/tokens');
    mkdirSync(tokens, { recursive: true, mode: 0o700 });
    writeFileSync(join(tokens, '0123456789'), '{}', { mode: 0o600 });
    const port = await freePort();
    const { code, stdout, stderr } = await serve(config, '', `grpcs://127.0.0.1:${port}`).done;
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(sentences(stderr)).toEqual([expect.stringMatching(/^farlight: .*0123456789 is not a token/)]);
    const probe = connect(port, '127.0.0.1');
    const outcome = await new Promise((resolve) => {
      probe.once('connect', () => resolve('connected')).once('error', (error) => resolve(error));
    });
    probe.destroy();
    expect(outcome).toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('farlight serve serves other tenants if the limits of one cannot be read', async () => {
    const config = temporary.make();
    const tokens = join(config, 'farlight/host/tokens');
    mkdirSync(tokens, { recursive: true, mode: 0o700 });
    new TokenStore(tokens).add({ tenant: 'good' });
    writeFileSync(join(tokens, 'limits-0123456789-bad'), '{}', { mode: 0o600 });
    const running = serve(config);
    await ready(running);
    expect(running.printed.stdout).toContain('farlight host ready: grpcs://');
  });

  it.skipIf(!existsSync('/dev/full'))(
    'farlight serve ends if its address cannot be printed, and the unseen token is revoked',
    async () => {
      const config = temporary.make();
      const { code, stderr } = await serve(config, '>/dev/full').done;
      expect(code).toBe(1);
      expect(sentences(stderr)).toEqual([
        expect.stringMatching(/^farlight: the host's address cannot be written to stdout \(ENOSPC\)/),
      ]);
      expect(readdirSync(join(config, 'farlight/host/tokens'))).toEqual([]);
    },
  );

  it.skipIf(!existsSync('/dev/full'))(
    'farlight serve goes on if its log cannot be written, and ends on SIGTERM',
    async () => {
      const host = serve(temporary.make(), '2>/dev/full');
      await ready(host);
      expect(host.printed.stdout).toMatch(/^farlight host ready: /);
      host.child.kill('SIGTERM');
      expect((await host.done).code).toBe(0);
    },
  );
});

describe('the first token of a host', () => {
  it('the first token is in no stored output, only in a file for its user', async () => {
    const config = temporary.make();
    const host = serve(config);
    await ready(host);
    const { stdout, stderr } = host.printed;
    expect(stdout + stderr).not.toContain('flt_');
    const file = join(config, 'farlight/host/address');
    expect(stdout).toContain(`\ntoken: part of the address in ${file}, which only this user may read; `);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const address = readFileSync(file, 'utf8');
    expect(address).toMatch(/^grpcs:\/\/flt_[A-Za-z0-9_-]{43}@127\.0\.0\.1:\d+\?ca=[A-Za-z0-9_-]{43}\n$/);
    expect(addressIn(stdout)).toBe(address.trim());
    const [token = ''] = /flt_[^@]+/.exec(address) ?? [];
    expect(new TokenStore(join(config, 'farlight/host/tokens')).verify(token)?.tenant).toBe('default');
  });

  it.skipIf(spawnSync('script', ['--version']).status !== 0)(
    'the first token is in the address on a terminal, and in no file (needs script)',
    async () => {
      const config = temporary.make();
      const line = [process.execPath, CLI, ...SERVE_ALONE, '--listen', 'grpcs://127.0.0.1:0'].join(' ');
      const env = { ...process.env, XDG_CONFIG_HOME: config };
      const terminal = outputOf(spawn('script', ['-qefc', `exec ${line}`, '/dev/null'], { env }));
      children.push(terminal.child);
      await ready(terminal);
      expect(terminal.printed.stdout).toMatch(/farlight host ready: grpcs:\/\/flt_[A-Za-z0-9_-]{43}@/);
      expect(terminal.printed.stdout).toMatch(/token: part of this address, shown only this once/);
      expect(existsSync(join(config, 'farlight/host/address'))).toBe(false);
      // Like Ctrl-C.
      terminal.child.stdin.write('\u0003');
      await terminal.done;
    },
  );
});
