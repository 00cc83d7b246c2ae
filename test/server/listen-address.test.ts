import { describe, expect, it } from 'vitest';
import { parseListenAddress } from '#farlight/server/daemon/listen-address.js';

describe('an address to listen on', () => {
  it('on loopback is accepted, and clients are told the port that was bound', () => {
    for (const host of ['127.0.0.1', '127.255.0.9', 'localhost', '[::1]']) {
      const address = parseListenAddress(`${host}:0`);
      expect(address).toMatchObject({ host: host.replace(/[[\]]/g, ''), port: 0 });
      expect(address.url(4321)).toBe(`grpc://${host}:4321`);
    }
  });

  it('may be a unix socket', () => {
    expect(parseListenAddress('unix:/run/farlight.sock').url(0)).toBe('unix:/run/farlight.sock');
    expect(parseListenAddress('unix:///run/farlight.sock').path).toBe('/run/farlight.sock');
  });

  it('elsewhere is refused, because it would be plaintext', () => {
    for (const text of ['0.0.0.0:7070', '192.168.1.5:7070', 'gpu.example:7070', '[::]:7070', '128.0.0.1:1']) {
      expect(() => parseListenAddress(text), text).toThrow(/is not a loopback address/);
    }
  });

  it('that is malformed is refused with an example', () => {
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
    for (const text of [...malformed, '127.0.0.1:7070/x', 'http://127.0.0.1:1', '::1:7070']) {
      expect(() => parseListenAddress(text), text).toThrow(/write HOST:PORT, for example 127.0.0.1:7070/);
    }
  });
});
