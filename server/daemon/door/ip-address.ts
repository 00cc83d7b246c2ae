import { ipBytes } from '../../../link/address/ip-bytes.js';

/**
 * The network that one client of the internet is likely to hold all of: an IPv4 address, or the first 64 bits of an
 * IPv6 address. IPv4 addresses that a socket for both shows as IPv6 (`::ffff:a.b.c.d`) count as what they are.
 */
export function networkOf(address: string): string {
  const bytes = ipBytes(address);
  if (!bytes) return address;
  if (bytes.length === 4) return bytes.join('.');
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  if (mapped) return bytes.slice(12).join('.');
  return `${Buffer.from(bytes.subarray(0, 8)).toString('hex')}/64`;
}
