// The runner: it takes the options that the suite's takes, runs the cases that a query names, and prints them as the
// suite's does.
import { existsSync } from 'node:fs';
import { join } from 'node:path';

type Case = (gpu: GPU) => Promise<void>;

function usage(): never {
  console.log('Usage: cmdline.js [--verbose] [--gpu-provider MODULE] [--gpu-provider-flag FLAG]... QUERY...');
  process.exit(1);
}

if (!existsSync('src/common/runtime/cmdline.ts')) {
  console.log('Must be run from repository root');
  usage();
}

const [queries, flags]: string[][] = [[], []];
let verbose = false;
let provider: { create(flags: string[]): GPU } | undefined;
const args = process.argv.slice(2);
for (let at = 0; at < args.length; at++) {
  const arg = args[at] ?? '';
  if (!arg.startsWith('-')) queries?.push(arg);
  else if (arg === '--verbose') verbose = true;
  else if (arg === '--gpu-provider') provider = require(args[++at] ?? usage());
  else if (arg === '--gpu-provider-flag') flags?.push(args[++at] ?? usage());
  else {
    console.log('unrecognized flag: ', arg);
    usage();
  }
}
if (queries?.length !== 1) usage();

const root = join(__dirname, '../../webgpu');
const { listing } = require(join(root, 'listing.js')) as { listing: { file: string[] }[] };
const [suite, path = '', test = '*'] = queries[0]?.split(':') ?? [];
const prefix = path.replace(/,?\*$/, '');
const files = listing.filter(({ file }) => {
  const name = file.join(',');
  return name === prefix || (path.endsWith('*') && (prefix === '' || name.startsWith(`${prefix},`)));
});

async function main(): Promise<void> {
  if (suite !== 'webgpu' || files.length === 0)
    throw new Error(`Error: query ${queries?.[0]} does not match any cases`);
  const gpu = provider?.create(flags ?? []) ?? navigator.gpu;
  if (!gpu) throw new Error('No WebGPU implementation found');
  const counts = { pass: 0, fail: 0 };
  for (const { file } of files) {
    const cases = require(join(root, `${file.join('/')}.cases.js`)).cases as Record<string, Case>;
    for (const [name, run] of Object.entries(cases)) {
      if (test !== '*' && test !== name) continue;
      const started = performance.now();
      const why = await run(gpu).then(
        () => undefined,
        (error: Error) => `  - EXCEPTION: ${error.message}`,
      );
      counts[why === undefined ? 'pass' : 'fail'] += 1;
      const took = `(${(performance.now() - started).toFixed(2)}ms). Log:`;
      if (verbose || why !== undefined)
        console.log(`[${why === undefined ? 'pass' : 'fail'}] webgpu:${file}:${name}: ${took}\n${why ?? ''}`);
    }
  }
  console.log(`** Summary **\nPassed  w/o warnings = ${counts.pass}\nFailed               = ${counts.fail}`);
  process.exit(counts.fail > 0 ? 1 : 0);
}

main().catch((error: Error) => {
  console.log(error.message);
  process.exit(1);
});
