import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { ipBytes } from '#farlight/link/address/ip-bytes.js';
import { TokenAdmission } from '#farlight/server/trust/admission.js';
import { networkOf } from '#farlight/server/trust/newcomers/waiting-room.js';
import { TokenStore } from '#farlight/server/trust/token-store.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
afterEach(() => temporary.remove());

it('treats the addresses of one IPv6 network as one network, and IPv4 in IPv6 as IPv4', () => {
  expect(networkOf('2001:db8::1')).toBe(networkOf('2001:db8:0:0:ffff::2'));
  expect(networkOf('2001:db8::1')).not.toBe(networkOf('2001:db8:0:1::1'));
  expect(networkOf('::ffff:192.0.2.1')).toBe('192.0.2.1');
  expect(networkOf('fe80::1%eth0')).toBe(networkOf('fe80::2'));
});

it('converts IP addresses to bytes, and rejects other text', () => {
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

describe('admission by token', () => {
  const refusal = (act: () => unknown): { code: string; message: string } => {
    try {
      act();
    } catch (error) {
      return error as { code: string; message: string };
    }
    throw new Error('it admitted the client');
  };

  it('admits a valid token, and refuses an unknown and a revoked one with the same sentence', () => {
    const tokens = new TokenStore(temporary.make());
    const admission = new TokenAdmission({ tokens, now: () => 0, warn: expect.unreachable });
    const { token, entry } = tokens.add({ tenant: 'alice' });
    expect(admission.admit(token)).toEqual({ tenant: 'alice', tokenId: entry.id });
    const unknown = refusal(() => admission.admit(`flt_${'A'.repeat(43)}`));
    tokens.revoke(entry.id);
    const revoked = refusal(() => admission.admit(token));
    expect(revoked.code).toBe('UNAUTHORIZED');
    expect(revoked.message).toBe(unknown.message);
    expect(revoked.message).not.toContain(token);
    const none = refusal(() => admission.admit(undefined));
    expect(none.message).toMatch(/asks for a token/);
  });
});
