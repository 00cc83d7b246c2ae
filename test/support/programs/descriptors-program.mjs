// A program that has opened all the files that it may, and then asks for an adapter of the host named first ("none" for
// its own); with a second word it has found Farlight's files before.
import { openSync } from 'node:fs';
import { create } from '#farlight/client/index.js';
import '#farlight/client/transport/open.js';
import { packageFile } from '#farlight/link/machine/package-files.js';

const [host, looked] = process.argv.slice(2);
// Farlight looks for its own files once.
if (looked) packageFile('.');
try {
  for (;;) openSync('/dev/null');
} catch {
  // It has them all.
}
const stuck = setTimeout(() => process.exit(1), 8000);
await create(host !== 'none' ? { host } : { adapter: 'null' })
  .requestAdapter()
  .then(
    () => process.stdout.write('resolved'),
    ({ code, message }) => process.stdout.write(`rejected ${code}: ${message}`),
  );
clearTimeout(stuck);
