// Writes contents into a content store, again and again. content-processes.test.ts runs several of these processes, and
// kills them.
import { hashContent } from '#farlight/link/machine/hashing.js';
import { ContentStore } from '#farlight/server/contents/content-store.js';

const [folder, maxBytes, seed, count, length, rounds] = process.argv
  .slice(2)
  .map((text, at) => (at === 0 ? text : Number(text)));

const store = new ContentStore({ folder, maxBytes });
const contents = Array.from({ length: count }, (_, at) => {
  const bytes = new Uint8Array(length).fill(seed + at);
  return { name: hashContent(bytes), bytes };
});
for (let round = 0; round < rounds; round += 1) {
  for (const { name, bytes } of contents) {
    const stored = await store.write(name, bytes);
    // Another process may evict a content at once. A content that is there must be right.
    const read = store.read(name);
    if (!stored || (read && Buffer.compare(read, bytes) !== 0)) process.exit(1);
    const { bytes: taken } = store.summary();
    if (taken > maxBytes) process.exit(2);
  }
}
