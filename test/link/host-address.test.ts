import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { LONGEST_UNIX_PATH } from '#farlight/link/address/unix-path.js';
import { parseHostAddress } from '#farlight/link/dial/host-address.js';
import { redact } from '#farlight/proto/token.js';

const TOKEN = `flt_${'aB3_-'.repeat(8)}xyz`;
const PIN = 'lezdxHfyu6fp9zCBUMZqwfe7OqC5Y4kX22X6jrGFW4c';
const secure = (text: string) => parseHostAddress(text, { tls: true });

describe('a host address', () => {
  it('accepts a grpc URL of this machine, with or without a port', () => {
    expect(parseHostAddress('grpc://127.0.0.1:9000')).toMatchObject({
      url: 'grpc://127.0.0.1:9000',
      target: '127.0.0.1:9000',
      scheme: 'grpc',
      host: '127.0.0.1',
      port: 9000,
    });
    expect(parseHostAddress('grpc://127.0.0.1').target).toBe('127.0.0.1:7070');
    expect(parseHostAddress('grpc://LOCALHOST').scheme).toBe('grpc');
    expect(parseHostAddress('grpc://127.255.0.9').scheme).toBe('grpc');
    expect(parseHostAddress('grpc://[::1]:7070/')).toMatchObject({ target: '[::1]:7070', host: '::1' });
  });

  it('accepts a unix socket', () => {
    for (const text of ['unix:/run/farlight.sock', 'unix:///run/farlight.sock']) {
      expect(parseHostAddress(text)).toMatchObject({
        target: 'unix:/run/farlight.sock',
        path: '/run/farlight.sock',
      });
    }
  });

  it('rejects a unix socket on Windows, with one sentence', () => {
    expect(() => parseHostAddress('unix:/run/farlight.sock', { platform: 'win32' })).toThrow(
      /^unix:\/run\/farlight\.sock is a unix socket, and Node has none on Windows; use the address of/,
    );
    expect(parseHostAddress('unix:/run/x.sock', { platform: 'darwin' }).path).toBe('/run/x.sock');
  });

  it('rejects a path of a unix socket that the system would cut', () => {
    expect(parseHostAddress(`unix:/${'x'.repeat(LONGEST_UNIX_PATH - 1)}`).path).toHaveLength(
      LONGEST_UNIX_PATH,
    );
    for (const longer of ['x'.repeat(LONGEST_UNIX_PATH), 'é'.repeat(LONGEST_UNIX_PATH / 2 + 1)])
      expect(() => parseHostAddress(`unix:/${longer}`)).toThrow(
        /has more than 10\d bytes.*name a shorter one/,
      );
  });

  it('a plaintext address may name the trusted user of this machine', () => {
    expect(parseHostAddress('grpc://127.0.0.1:9000?uid=998')).toMatchObject({
      url: 'grpc://127.0.0.1:9000?uid=998',
      target: '127.0.0.1:9000',
      uid: 998,
    });
    expect(parseHostAddress('grpc://localhost/?uid=any').uid).toBe('any');
    expect(parseHostAddress('grpc://localhost').uid).toBeUndefined();
    expect(parseHostAddress('unix:/run/a?b?uid=998')).toMatchObject({
      url: 'unix:/run/a?b?uid=998',
      target: 'unix:/run/a?b',
      path: '/run/a?b',
      uid: 998,
    });
    for (const wrong of ['grpc://127.0.0.1?uid=', 'grpc://127.0.0.1?uid=bob', 'unix:/run/s?uid=bob'])
      expect(() => parseHostAddress(wrong), wrong).toThrow(/is not a host's address/);
    expect(() => secure(`grpcs://gpu.example?uid=998`)).toThrow(/is not a host's address/);
  });

  it('accepts a grpcs URL with a token and a pin', () => {
    const address = secure(`grpcs://${TOKEN}@gpu.example:9000?ca=${PIN}`);
    expect(address).toMatchObject({ scheme: 'grpcs', host: 'gpu.example', port: 9000, pin: PIN });
    expect(address.token).toBe(TOKEN);
    const plain = secure('grpcs://[2001:db8::7]');
    expect(plain).toMatchObject({ host: '2001:db8::7', target: '[2001:db8::7]:7070', pin: undefined });
    expect(plain.token).toBeUndefined();
    expect(secure(`grpcs://${TOKEN}@gpu.example/?ca=${PIN}`).pin).toBe(PIN);
  });

  it('printing an address does not show its token', () => {
    const address = secure(`grpcs://${TOKEN}@gpu.example:9000?ca=${PIN}`);
    expect(address.url).toBe('grpcs://gpu.example:9000');
    const printed = [inspect(address, { showHidden: true }), JSON.stringify(address), String(address)];
    for (const text of [...printed, JSON.stringify({ ...address })]) expect(text).not.toContain('flt_');
  });

  it('a client without TLS rejects an address that demands TLS', () => {
    expect(() => parseHostAddress(`grpcs://${TOKEN}@gpu.example`)).toThrow(
      /needs TLS, which is not spoken here/,
    );
  });

  it('rejects plaintext across the network, and says what to do instead', () => {
    for (const host of [
      'gpu.example',
      '192.168.1.5',
      '0.0.0.0',
      '127.1',
      '[::]',
      '128.0.0.1',
      'localhost.evil',
    ]) {
      expect(() => parseHostAddress(`grpc://${host}:9000`), host).toThrow(
        expect.objectContaining({
          code: 'BAD_URL',
          message: expect.stringMatching(/plaintext.*grpcs:\/\/TOKEN@.*:9000.*ssh -L 9000:127\.0\.0\.1:9000/),
        }),
      );
    }
  });

  it('rejects a token in plaintext, even to this machine, without repeating it', () => {
    for (const secret of [TOKEN, 'hunter2', 'user:hunter2']) {
      expect(() => secure(`grpc://${secret}@127.0.0.1:1`), secret).toThrow(
        expect.objectContaining({ code: 'BAD_URL', message: expect.not.stringContaining(secret) }),
      );
    }
    expect(() => secure(`grpc://${TOKEN}@127.0.0.1:1`)).toThrow(/does not belong in a grpc:\/\/ address/);
  });

  it('rejects a part of a token or pin, and says so', () => {
    for (const token of [TOKEN.slice(0, -1), `${TOKEN}x`, 'hunter2']) {
      expect(() => secure(`grpcs://${token}@gpu.example`), token).toThrow(
        expect.objectContaining({
          message: expect.stringMatching(/^the text before the @ in "grpcs:\/\/\*\*\*@gpu\.example" is not/),
        }),
      );
    }
    for (const pin of ['', PIN.slice(1), `${PIN}A`, `${PIN.slice(0, -1)}d`, `${PIN.slice(0, -1)}=`])
      expect(() => secure(`grpcs://gpu.example?ca=${pin}`), pin).toThrow(/is not whole.*43 letters/);
  });

  it('rejects anything else with an example, and no secret in the sentence', () => {
    const malformed = [
      '',
      'localhost',
      'localhost:7070',
      '127.0.0.1:7070',
      'http://x:1',
      'grpc:/x',
      'grpc://',
    ];
    const ports = ['grpc://x:99999', 'grpc://x:0', 'grpcs://x:0'];
    const extras = [
      'grpcs://u:hunter2@x:1',
      'grpcs://x:1/path',
      'grpc://127.0.0.1:1?q',
      'grpc://127.0.0.1:1#h',
    ];
    const queries = [`grpcs://x?ca=${PIN}&ca=${PIN}`, `grpcs://x?CA=${PIN}`, `grpc://127.0.0.1?ca=${PIN}`];
    const secrets = [
      `${TOKEN}@x:1`,
      `${TOKEN}`,
      'hunter2@x:1',
      `https://hunter2@x:1`,
      `grpcs://${TOKEN}@x:1/p`,
    ];
    for (const text of [...malformed, ...ports, ...extras, ...queries, ...secrets, 'unix:relative']) {
      expect(() => secure(text), text).toThrow(
        expect.objectContaining({
          code: 'BAD_URL',
          message: expect.stringMatching(/^(?!.*(hunter2|flt_[^*])).*grpc:\/\/127\.0\.0\.1:7070/),
        }),
      );
    }
  });
});

it('redacting removes every token, whole or cut off, and everything before an @ in an address', () => {
  const text = `--host grpcs://${TOKEN}@a:1 and ${TOKEN.slice(0, 12)} and grpcs://pass/word@b:2?ca=${PIN}`;
  expect(redact(text)).toBe(`--host grpcs://***@a:1 and flt_*** and grpcs://***@b:2?ca=${PIN}`);
  // The word where a person is to write a token.
  expect(redact('write grpcs://TOKEN@HOST:PORT')).toBe('write grpcs://TOKEN@HOST:PORT');
  expect(redact('grpcs://TOKEN@secret@HOST')).toBe('grpcs://***@HOST');
  expect(redact('grpc://127.0.0.1:7070 failed')).toBe('grpc://127.0.0.1:7070 failed');
});
