import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { AttemptLimit } from '#farlight/server/trust/attempt-limit.js';
import { Gate } from '#farlight/server/trust/gate.js';
import { ipBytes, networkOf } from '#farlight/server/trust/ip-address.js';
import { TokenStore } from '#farlight/server/trust/token-store.js';
import { folders } from '../support/trust.js';

const temporary = folders();
afterEach(() => temporary.remove());

describe('the limit of failed attempts', () => {
  it('lets an address fail so often at once, then once in each interval', () => {
    const limit = new AttemptLimit({ burst: 3, forgetMs: 1000 });
    for (let attempt = 0; attempt < 3; attempt += 1) {
      expect(limit.waitMs('192.0.2.1', 5000)).toBe(0);
      limit.failed('192.0.2.1', 5000);
    }
    expect(limit.waitMs('192.0.2.1', 5000)).toBe(1000);
    expect(limit.waitMs('192.0.2.1', 5999)).toBe(1);
    expect(limit.waitMs('192.0.2.1', 6000)).toBe(0);
    limit.failed('192.0.2.1', 6000);
    expect(limit.waitMs('192.0.2.1', 6000)).toBe(1000);
  });

  it('never lets more than the burst and what was forgotten through, whenever the attempts come', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3000), { maxLength: 100 }), (pauses) => {
        const limit = new AttemptLimit({ burst: 4, forgetMs: 1000 });
        let now = 0;
        let failed = 0;
        for (const pause of pauses) {
          now += pause;
          if (limit.waitMs('192.0.2.1', now) > 0) continue;
          limit.failed('192.0.2.1', now);
          failed += 1;
          expect(failed).toBeLessThanOrEqual(4 + Math.floor(now / 1000));
        }
      }),
    );
  });

  it('holds no address against another, and remembers no more than it may', () => {
    const limit = new AttemptLimit({ burst: 1, forgetMs: 1000, maxAddresses: 100 });
    limit.failed('192.0.2.1', 0);
    expect(limit.waitMs('192.0.2.2', 0)).toBe(0);
    for (let at = 0; at < 5000; at += 1) limit.failed(`10.0.${at >> 8}.${at & 255}`, 0);
    expect(limit.size).toBe(100);
    expect(limit.waitMs(`10.0.${4999 >> 8}.${4999 & 255}`, 0)).toBe(1000);
  });

  it('takes the addresses of one IPv6 network for one, and IPv4 in IPv6 for IPv4', () => {
    expect(networkOf('2001:db8::1')).toBe(networkOf('2001:db8:0:0:ffff::2'));
    expect(networkOf('2001:db8::1')).not.toBe(networkOf('2001:db8:0:1::1'));
    expect(networkOf('::ffff:192.0.2.1')).toBe('192.0.2.1');
    expect(networkOf('fe80::1%eth0')).toBe(networkOf('fe80::2'));
  });
});

it('an IP address as bytes is what its text says, and other text is none', () => {
  fc.assert(
    fc.property(fc.ipV6(), fc.ipV4(), (six, four) => {
      expect([...(ipBytes(four) ?? [])].join('.')).toBe(four);
      const canonical = (text: string) => new URL(`http://[${text}]/`).hostname;
      const hex = Buffer.from(ipBytes(six) ?? []).toString('hex');
      expect(hex).toHaveLength(32);
      expect(canonical((hex.match(/.{4}/g) ?? []).join(':'))).toBe(canonical(six));
    }),
  );
  for (const text of ['', 'localhost', '1.2.3', '1.2.3.256', '::1::']) expect(ipBytes(text)).toBeUndefined();
});

describe('the gate', () => {
  const refused = (act: () => unknown): { code: string; message: string } => {
    try {
      act();
    } catch (error) {
      return error as { code: string; message: string };
    }
    throw new Error('it let the caller in');
  };

  it('lets in who shows a token, and refuses an unknown and a revoked one in the same words', () => {
    const tokens = new TokenStore(temporary.make());
    const gate = new Gate({ tokens });
    const { token, entry } = tokens.add({ tenant: 'alice' });
    expect(gate.admit({ token, remote: '192.0.2.1' }, 0).tenant).toBe('alice');
    const unknown = refused(() => gate.admit({ token: `flt_${'A'.repeat(43)}`, remote: '192.0.2.1' }, 0));
    tokens.revoke(entry.id);
    const revoked = refused(() => gate.admit({ token, remote: '192.0.2.1' }, 0));
    expect(revoked.code).toBe('UNAUTHORIZED');
    expect(revoked.message).toBe(unknown.message);
    expect(revoked.message).not.toContain(token);
    const none = refused(() => gate.admit({ token: undefined, remote: '192.0.2.1' }, 0));
    expect(none.message).toMatch(/asks for a token/);
  });

  it('looks at no token of a caller that failed too often, and says how long to wait', () => {
    let looks = 0;
    const verify = () => {
      looks += 1;
      return undefined;
    };
    const gate = new Gate({ tokens: { verify }, attempts: new AttemptLimit({ burst: 2, forgetMs: 3000 }) });
    const caller = { token: 'wrong', remote: '192.0.2.1' };
    for (let attempt = 0; attempt < 5; attempt += 1) refused(() => gate.admit(caller, 0));
    expect(looks).toBe(2);
    expect(refused(() => gate.admit(caller, 0)).message).toMatch(/try again in 3 seconds/);
    refused(() => gate.admit(caller, 3000));
    expect(looks).toBe(3);
  });
});
