import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { launchOf } from '#farlight/cli/run/runtimes.js';
import { openTransport, remoteHost } from '#farlight/client/transport/open.js';
import { runtimeName } from '#farlight/link/machine/runtime.js';
import { DirectSocket } from '#farlight/link/near/direct-socket.js';
import { Daemon } from '#farlight/server/daemon.js';
import { SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { FAKE_EXECUTOR } from '../support/repository.js';

const REGISTER = 'file:///register.js';
const SCRIPTS: Record<string, string> = {
  start: 'deno run -A main.ts',
  test: 'NODE_ENV=test bun test',
  build: 'tsc && cross-env A=1 bunx --bun vite build',
  serve: 'node deno.mjs && echo bun',
};
const launch = (command: string) => launchOf(command.split(' '), REGISTER, (name) => SCRIPTS[name]);

describe('the launch of a command', () => {
  it.each([
    'node app.mjs',
    'sh -c deno',
    'npx tsx deno.ts',
    'npm run serve',
    'npm run nothing',
    'npm install deno',
    'bunx cowsay',
    './bundle.sh',
  ])('leaves a Node command as it is: %s', (command) => {
    expect(launch(command)).toEqual({ command: command.split(' '), runtime: undefined });
  });

  it.each([
    ['deno run -A app.ts', 'deno run --preload=file:///register.js -A app.ts'],
    ['deno app.ts', 'deno --preload=file:///register.js app.ts'],
    ['deno test', 'deno test --preload=file:///register.js'],
    ['/opt/deno/bin/deno serve app.ts', '/opt/deno/bin/deno serve --preload=file:///register.js app.ts'],
    ['C:\\tools\\deno.exe run app.ts', 'C:\\tools\\deno.exe run --preload=file:///register.js app.ts'],
    ['npx -y deno@2 run app.ts', 'npx -y deno@2 run --preload=file:///register.js app.ts'],
    ['pnpm dlx deno run app.ts', 'pnpm dlx deno run --preload=file:///register.js app.ts'],
  ])('tells Deno what to load first: %s', (command, told) => {
    expect(launch(command)).toEqual({ command: told.split(' '), runtime: 'Deno' });
  });

  it.each(['deno install', 'deno fmt', 'deno --version'])(
    'leaves a Deno command that runs no program: %s',
    (command) => {
      expect(launch(command).problem).toBeUndefined();
    },
  );

  it.each(['deno task start', 'npm start', 'npm run start', 'yarn run start'])(
    'explains why a hidden Deno has no GPU, and what to do: %s',
    (command) => {
      const { problem, runtime, command: as } = launch(command);
      expect(as).toEqual(command.split(' '));
      expect(runtime).toBe('Deno');
      expect(problem).toMatch(/^Deno must be told in its own command.*farlight run -- deno run -A FILE$/);
    },
  );

  it.each(['bun app.ts', 'bun run dev', 'npx bun app.ts', 'npm test', 'pnpm run build'])(
    'recognizes Bun: %s',
    (command) => {
      expect(launch(command)).toEqual({ command: command.split(' '), runtime: 'Bun' });
    },
  );
});

describe('in another runtime than Node', () => {
  let daemon: Daemon;
  const versions = Object.getOwnPropertyDescriptor(process, 'versions') as PropertyDescriptor;
  const pretend = (runtime: 'bun' | 'deno') =>
    Object.defineProperty(process, 'versions', {
      ...versions,
      value: { ...process.versions, [runtime]: '1.0.0' },
    });

  beforeAll(async () => {
    daemon = await Daemon.start({ listen: '127.0.0.1:0', executorEntry: FAKE_EXECUTOR });
  });
  afterEach(() => Object.defineProperty(process, 'versions', versions));
  afterAll(() => daemon.close());

  it.each(['bun', 'deno'] as const)(
    'rejects a private host in another runtime, with advice: %s',
    (runtime) => {
      expect(runtimeName()).toBe('Node');
      pretend(runtime);
      expect(() => openTransport(undefined)).toThrow(
        new RegExp(`no host is named, and ${runtimeName()} starts none.*farlight run.*FARLIGHT_HOST`),
      );
    },
  );

  it('a session uses the public streams of a socket, since only Node has its internals', async () => {
    pretend('deno');
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(daemon.url).port) });
    await once(socket, 'connect');
    expect(DirectSocket.over(socket)).toBeUndefined();
    socket.destroy();
    const client = new SessionClient(remoteHost(daemon.url));
    expect([...(await client.ask(ACTION.echo, 1, 2, 3))]).toEqual([ACTION.echo, 1, 2, 3]);
    client.link.close();
    await client.closed;
  });
});
