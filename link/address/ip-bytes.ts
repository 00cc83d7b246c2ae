import { isIP } from 'node:net';

/** An IP address as its 4 or 16 bytes; undefined for any other text. A zone (`%eth0`) is left out. */
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
