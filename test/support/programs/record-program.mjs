// Runs a program of test/e2e/programs on a GPU in this process, and writes what its client sent:
// node test/support/programs/record-program.mjs PROGRAM FILE [ADAPTER]
import { writeFileSync } from 'node:fs';
import { serialize } from 'node:v8';
import { create, globals } from 'farlight';
import { testHost } from 'farlight/testing';
import { recording } from '../clients/recording.mjs';

const [program, file, adapter = 'software'] = process.argv.splice(2);
const host = await testHost({ adapter, transport: 'memory' });
const frames = [];
const gpu = create({ transport: recording(host.transport, frames) });
Object.assign(globalThis, globals);
Object.defineProperty(globalThis, 'navigator', {
  value: { userAgent: `Node.js/${process.versions.node.split('.')[0]}`, hardwareConcurrency: 2, gpu },
  configurable: true,
});
process.stdout.write = () => true;
process.argv.push('--runs', '2');
await import(new URL(`../../e2e/programs/${program}.mjs`, import.meta.url));
writeFileSync(file, serialize(frames));
process.stderr.write(`${program}: ${frames.length} frames\n`);
process.exit(0);
