import { createRequire } from 'node:module';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { HostClient } from '#farlight/client/transport/host/host-client.js';
import { remoteHost } from '#farlight/client/transport/open.js';
import { hostService } from '#farlight/link/grpc/host-service.js';
import { FarlightError } from '#farlight/proto/errors.js';
import { harmless, harmlessJson, harmlessLines } from '#farlight/proto/harmless.js';
import { PROTOCOL } from '#farlight/proto/session/version.js';
import { HELLO, SessionClient } from '../support/clients/session-client.js';
import { runFarlight } from '../support/hosts/farlight-command.js';
import { ServeProcess } from '../support/hosts/serve-process.js';

const { Server, ServerCredentials, status } = createRequire(import.meta.url)(
  '@grpc/grpc-js',
) as typeof import('@grpc/grpc-js');

/** Terminal control characters except line feeds and tabs, and characters that reverse a line. */
const OBEYED =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
const TITLE = '\u001b]0;owned\u0007';
const EVIL = `${TITLE}\u009b2J\u202egpj.exe\u2066\r\nfarlight: all is well`;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  await Promise.all(cleanups.splice(0).map((cleanup) => cleanup()));
});

/** Texts with many control characters. */
const texts = fc.array(fc.oneof(fc.integer({ min: 0, max: 0x2100 }), fc.nat(0xd7ff))).map((codes) => {
  return codes.map((code) => String.fromCharCode(code)).join('');
});

describe('a text of a peer', () => {
  it('has no terminal control characters, in one line or several, and keeps all other characters', () => {
    fc.assert(
      fc.property(texts, (text) => {
        expect(harmless(text)).not.toMatch(OBEYED);
        expect(harmless(text)).not.toMatch(/[\n\t]/);
        expect(harmlessLines(text)).not.toMatch(OBEYED);
        expect(harmlessLines(text).split('\n').length).toBe(text.split('\n').length);
      }),
    );
    const plain = 'GeForce RTX™ 4090, Größe 7 µs, 漢字 🙂 "x" <y>';
    for (const clean of [harmless, harmlessLines, harmlessJson]) expect(clean(plain)).toBe(plain);
    expect(harmless('one\r\n\ttwo')).toBe('one two');
  });

  it('is the same text in JSON that is safe for a terminal', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const json = harmlessJson(JSON.stringify({ [text]: [text] }, null, 2));
        expect(json).not.toMatch(OBEYED);
        expect(JSON.parse(json)).toEqual({ [text]: [text] });
      }),
    );
  });

  it('is harmless as the message of an error, and in its stack', () => {
    const { message, stack } = new FarlightError('NO_ADAPTER', `the host has no GPU: ${EVIL}`);
    expect(message).toBe('the host has no GPU: �]0;owned��2J�gpj.exe��\nfarlight: all is well');
    expect(stack).toBe(`FarlightError: ${message}`);
  });
});

/** A host that answers with an invented description. */
async function evilHost(adapter: object | undefined, error?: string): Promise<string> {
  const server = new Server({ 'grpc.max_receive_message_length': -1 });
  const description = {
    protocolMin: PROTOCOL.min,
    protocolMax: PROTOCOL.max,
    version: EVIL,
    sessions: 1,
    adapterProblem: EVIL,
  };
  server.addService(hostService(), {
    Describe: (_: unknown, reply: (error: object | null, value?: object) => void) =>
      error === undefined
        ? reply(null, { ...description, adapter })
        : reply({ code: status.UNAUTHENTICATED, details: error }),
    Echo: ({ request }: { request: { replyBytes: number } }, reply: (error: null, value: object) => void) =>
      reply(null, { payload: Buffer.alloc(request.replyBytes) }),
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (problem, bound) =>
      problem ? reject(problem) : resolve(bound),
    ),
  );
  cleanups.push(() => server.forceShutdown());
  return `grpc://127.0.0.1:${port}`;
}

const ADAPTER = { name: EVIL, driver: EVIL, vendor: EVIL, architecture: EVIL, software: false };

describe('a text of a host', () => {
  it('is harmless in the terminal of farlight doctor, as text and as JSON', async () => {
    const url = await evilHost(ADAPTER);
    const doctor = ['doctor', '--adapter', 'null', '--host', url];
    for (const args of [doctor, [...doctor, '--json']]) {
      const { stdout, stderr } = await runFarlight(args);
      expect(stdout).toContain('gpj.exe');
      expect(stdout + stderr).not.toMatch(OBEYED);
      expect(stdout + stderr).not.toMatch(/^farlight: all is well/m);
    }
  });

  it('is harmless as the reason why the host refuses a call', async () => {
    const client = new HostClient(await evilHost(undefined, EVIL));
    cleanups.push(() => client.close());
    const { message } = await client.describe().then(
      () => ({ message: '' }),
      (error: FarlightError) => error,
    );
    expect(message).toContain('gpj.exe');
    expect(message).not.toMatch(OBEYED);
  });

  it('is harmless in the sentence with which farlight run ends', async () => {
    const url = await evilHost(undefined);
    const { code, stderr } = await runFarlight(['run', '--host', url, '--', 'true']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^farlight: the host [^\n]+ has no GPU: [^\n]*gpj\.exe[^\n]*\n$/);
    expect(stderr).not.toMatch(OBEYED);
  });
});

describe('a text of a client', () => {
  it('is harmless and complete in the log of the host', async () => {
    const server = await ServeProcess.start();
    cleanups.push(() => server.child.kill('SIGKILL'));
    const client = new SessionClient(remoteHost(server.url), { ...HELLO, program: EVIL });
    await client.welcome;
    client.link.close();
    expect(await server.logged('session ended')).toMatchObject({ program: EVIL });
    expect(server.stderr).not.toMatch(OBEYED);
  });
});
