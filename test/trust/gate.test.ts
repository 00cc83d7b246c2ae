import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { ipBytes } from '#farlight/link/address/ip-bytes.js';
import { networkOf } from '#farlight/server/daemon/door/ip-address.js';
import { Gate } from '#farlight/server/trust/gate.js';
import { TokenStore } from '#farlight/server/trust/token-store.js';
import { folders } from '../support/trust.js';

const temporary = folders();
afterEach(() => temporary.remove());

it('the addresses of one IPv6 network are one network, and IPv4 in IPv6 is IPv4', () => {
  expect(networkOf('2001:db8::1')).toBe(networkOf('2001:db8:0:0:ffff::2'));
  expect(networkOf('2001:db8::1')).not.toBe(networkOf('2001:db8:0:1::1'));
  expect(networkOf('::ffff:192.0.2.1')).toBe('192.0.2.1');
  expect(networkOf('fe80::1%eth0')).toBe(networkOf('fe80::2'));
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
    const gate = new Gate(tokens);
    const { token, entry } = tokens.add({ tenant: 'alice' });
    expect(gate.admit(token).tenant).toBe('alice');
    const unknown = refused(() => gate.admit(`flt_${'A'.repeat(43)}`));
    tokens.revoke(entry.id);
    const revoked = refused(() => gate.admit(token));
    expect(revoked.code).toBe('UNAUTHORIZED');
    expect(revoked.message).toBe(unknown.message);
    expect(revoked.message).not.toContain(token);
    const none = refused(() => gate.admit(undefined));
    expect(none.message).toMatch(/asks for a token/);
  });
});
