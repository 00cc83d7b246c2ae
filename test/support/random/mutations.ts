/** Changes one thing in bytes, or joins them with others; random numbers are from 0 to below 1. */
export function mutate(bytes: Uint8Array, other: Uint8Array, random: () => number): Uint8Array {
  const below = (limit: number) => Math.floor(random() * limit);
  const copy = bytes.slice();
  const at = below(bytes.length + 1);
  switch (below(8)) {
    case 0: // bits flip
      for (let flips = 1 + below(4); flips > 0; flips--) {
        const place = below(copy.length);
        copy[place] = (copy[place] ?? 0) ^ (1 << below(8));
      }
      return copy;
    case 1: // a byte is another
      if (at < copy.length) copy[at] = below(256);
      return copy;
    case 2: // it is cut short
      return copy.subarray(0, at);
    case 3: // random bytes come between
      return join(
        copy.subarray(0, at),
        Uint8Array.from({ length: 1 + below(12) }, () => below(256)),
        copy.subarray(at),
      );
    case 4: // a part comes twice
      return join(copy.subarray(0, at), copy.subarray(Math.max(0, at - 1 - below(64))));
    case 5: // a part is missing
      return join(copy.subarray(0, at), copy.subarray(Math.min(copy.length, at + 1 + below(16))));
    case 6: // it goes on as another does
      return join(copy.subarray(0, at), other.subarray(below(other.length + 1)));
    default: // a number is huge: as a varint, or as 32 bits
      return join(
        copy.subarray(0, at),
        random() < 0.5
          ? Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 15)
          : Uint8Array.of(255, 255, 255, below(256)),
        copy.subarray(Math.min(copy.length, at + below(9))),
      );
  }
}

function join(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
