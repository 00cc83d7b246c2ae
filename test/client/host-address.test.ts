import { describe, expect, it } from 'vitest';
import { parseHostAddress } from '#farlight/client/transport/host-address.js';

describe('a host address', () => {
  it('is a grpc URL, whose port may be left out', () => {
    expect(parseHostAddress('grpc://gpu.example:9000')).toEqual({
      url: 'grpc://gpu.example:9000',
      target: 'gpu.example:9000',
    });
    expect(parseHostAddress('grpc://127.0.0.1').target).toBe('127.0.0.1:7070');
    expect(parseHostAddress('grpc://[::1]:7070/').target).toBe('[::1]:7070');
  });

  it('or a unix socket', () => {
    for (const text of ['unix:/run/farlight.sock', 'unix:///run/farlight.sock']) {
      expect(parseHostAddress(text).target).toBe('unix:/run/farlight.sock');
    }
  });

  it('or is refused with an example of one', () => {
    const malformed = [
      '',
      'localhost',
      'localhost:7070',
      '127.0.0.1:7070',
      'http://x:1',
      'grpc:/x',
      'grpc://',
    ];
    const extras = [
      'grpc://x:99999',
      'grpc://x:0',
      'grpc://u:p@x:1',
      'grpc://x:1/path',
      'grpc://x:1?q',
      'unix:relative',
    ];
    for (const text of [...malformed, ...extras]) {
      expect(() => parseHostAddress(text), text).toThrow(
        expect.objectContaining({
          code: 'BAD_URL',
          message: expect.stringContaining('grpc://127.0.0.1:7070'),
        }),
      );
    }
  });
});
