import { describe, expect, it } from 'vitest';
import { LONGEST_UNIX_PATH } from '#farlight/link/address/unix-path.js';
import { parseListenAddress } from '#farlight/server/trust/listen-address.js';

const EVERYWHERE = ['0.0.0.0:7070', '192.168.1.5:7070', 'gpu.example:7070', '[::]:7070', '128.0.0.1:1'];

describe('an address to listen on', () => {
  it('is plaintext on loopback, and the URL has the bound port', () => {
    for (const host of ['127.0.0.1', '127.255.0.9', 'localhost', '[::1]']) {
      const address = parseListenAddress(`${host}:0`, { tls: true });
      expect(address).toMatchObject({ target: `${host}:0`, tls: false, port: 0 });
      expect(address.url(4321)).toBe(`grpc://${host}:4321`);
    }
  });

  it('may be a unix socket', () => {
    expect(parseListenAddress('unix:/run/farlight.sock').url(0)).toBe('unix:/run/farlight.sock');
    expect(parseListenAddress('unix:///run/farlight.sock')).toMatchObject({
      target: 'unix:/run/farlight.sock',
      path: '/run/farlight.sock',
      tls: false,
    });
  });

  it('cannot be a unix socket on Windows, and one sentence says so', () => {
    expect(() => parseListenAddress('unix:/run/farlight.sock', { platform: 'win32' })).toThrow(
      /^unix:\/run\/farlight\.sock is a unix socket, which Node does not have on Windows; listen on 127\.0\.0\.1:7070$/,
    );
    expect(parseListenAddress('unix:/run/x.sock', { platform: 'darwin' }).path).toBe('/run/x.sock');
  });

  it('rejects the path of a unix socket that is too long for the system', () => {
    const folder = `/tmp/${'x'.repeat(LONGEST_UNIX_PATH - '/tmp//s'.length)}`;
    expect(parseListenAddress(`unix:${folder}/s`).path).toHaveLength(LONGEST_UNIX_PATH);
    for (const longer of [`${folder}/so`, `${folder}/é`])
      expect(() => parseListenAddress(`unix:${longer}`)).toThrow(
        /is longer than the 10\d bytes .* name a shorter one/,
      );
  });

  it('uses TLS beyond loopback, and for grpcs:// on loopback too', () => {
    for (const text of [...EVERYWHERE, 'grpcs://127.0.0.1:7070', 'grpcs://0.0.0.0:0'])
      expect(parseListenAddress(text, { tls: true }).tls, text).toBe(true);
    expect(parseListenAddress('[::]:7070', { tls: true })).toMatchObject({ host: '::', port: 7070 });
  });

  it('has a URL with the pin and the name that clients need for TLS', () => {
    const address = parseListenAddress('0.0.0.0:0', { tls: true });
    expect(address.url(4321, 'PIN', '192.0.2.7')).toBe('grpcs://192.0.2.7:4321?ca=PIN');
    expect(address.url(4321, undefined, '2001:db8::7')).toBe('grpcs://[2001:db8::7]:4321');
    expect(parseListenAddress('127.0.0.1:0', { tls: true }).url(1, 'PIN')).toBe('grpc://127.0.0.1:1');
  });

  it('is refused beyond loopback where TLS is unavailable', () => {
    for (const text of EVERYWHERE)
      expect(() => parseListenAddress(text), text).toThrow(/is not a loopback address/);
    for (const text of EVERYWHERE)
      expect(() => parseListenAddress(`grpc://${text}`, { tls: true }), text).toThrow(
        /is not a loopback address.*write grpcs:\/\//,
      );
  });

  it('uses TLS on loopback where a token is required, and is refused where it cannot', () => {
    const required = { tls: true, requireToken: true };
    expect(parseListenAddress('127.0.0.1:7070', required).tls).toBe(true);
    for (const text of ['grpc://127.0.0.1:7070', 'unix:/run/farlight.sock'])
      expect(() => parseListenAddress(text, required), text).toThrow(
        /which is plaintext.*write --listen grpcs:/,
      );
  });

  it('is refused with an example where it is malformed', () => {
    const malformed = [
      '',
      '7070',
      ':7070',
      '127.0.0.1',
      '127.0.0.1:',
      '127.0.0.1:x',
      '127.0.0.1:65536',
      'unix:x',
    ];
    const more = ['127.0.0.1:7070/x', 'http://127.0.0.1:1', '::1:7070', '[1.2.3.4]:1', 'a@b:1', 'a b:1'];
    for (const text of [...malformed, ...more]) {
      expect(() => parseListenAddress(text, { tls: true }), text).toThrow(
        /write HOST:PORT, for example 127.0.0.1:7070/,
      );
    }
  });
});
