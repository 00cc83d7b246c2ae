import { isIP } from 'node:net';

/** An IP address as its 4 or 16 bytes; undefined for what is none. A zone (`%eth0`) is left out. */
export function ipBytes(text: string): Uint8Array | undefined {
  const address = text.replace(/%.*$/, '');
  if (isIP(address) === 4) return Uint8Array.from(address.split('.').map(Number));
  if (isIP(address) !== 6) return undefined;
  // A dotted end is two groups.
  const hex = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
    [a * 256 + +b, c * 256 + +d].map((group) => group.toString(16)).join(':'),
  );
  const [head = [], tail] = hex.split('::').map((part) => (part === '' ? [] : part.split(':')));
  const gap = tail ? Array(8 - head.length - tail.length).fill('0') : [];
  const groups = [...head, ...gap, ...(tail ?? [])].map((group) => Number.parseInt(group, 16));
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));
}

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
