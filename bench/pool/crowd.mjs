// Many programs that ask for a GPU at the same time, of a pool that may have few hosts, each for one program at a time.
//
//   node bench/pool/crowd.mjs [--programs 100] [--max 4]
//
// It prints how long they waited, how many were served at once, and what a
// program that waits is told.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { programs: { type: 'string', default: '100' }, max: { type: 'string', default: '4' } },
});
const [count, max] = [Number(values.programs), Number(values.max)];
const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'crowd-'));
const file = join(folder, 'crowd.yaml');
writeFileSync(file, `max: ${max}\nsessions: 1\nwait: 3600\nidle: 2\nlease: 60\ngpu: { adapter: "null" }\n`);
const env = { ...process.env, XDG_STATE_HOME: join(folder, 'state'), FARLIGHT_HOST: `pool:${file}` };

/** One program: it asks for a host, has it for a while, and gives it back. It prints what it is told while it waits. */
const program = `
  const { PoolView } = await import('${root}dist/pool/attach/pool-view.js');
  const { seekHosts } = await import('${root}dist/pool/attach/seek.js');
  const { releaseHosts } = await import('${root}dist/pool/attach/keeper.js');
  const { readPool } = await import('${root}dist/pool/definition/pool-file.js');
  const view = new PoolView(readPool(process.env.FARLIGHT_HOST));
  const shown = (what) => console.log('told ' + what);
  const { signal } = new AbortController();
  const hosts = await seekHosts(view, { hosts: 1, isExclusive: false }, { signal, shown });
  console.log('has ' + hosts[0].slot + '.' + hosts[0].term);
  await new Promise((resolve) => setTimeout(resolve, 200));
  console.log('leaves');
  await releaseHosts(hosts);
  process.exit();
`;

const began = performance.now();
const seconds = () => (performance.now() - began) / 1000;
const now = new Set();
const order = [];
const told = new Map();
let mostPrograms = 0;
let mostHosts = 0;
let failed = 0;

/** The jobs that are not over, by the journal. */
const looking = setInterval(() => {
  const [pools] = names(join(folder, 'state/farlight/pools'));
  const journal = join(folder, 'state/farlight/pools', pools ?? '');
  const files = names(journal);
  const open = files.filter((name) => name.endsWith('.job') && !files.includes(name.replace(/job$/, 'end')));
  mostHosts = Math.max(mostHosts, open.length);
}, 50);

await Promise.all(Array.from({ length: count }, (_, at) => run(at)));
clearInterval(looking);
const waits = order.map(({ waited }) => waited).sort((one, other) => one - other);
const at = (share) => waits[Math.min(waits.length - 1, Math.floor(share * waits.length))]?.toFixed(1);
console.log(
  `${order.length} of ${count} programs were served in ${seconds().toFixed(1)} s, ${failed} failed`,
);
console.log(`waits: median ${at(0.5)} s, 95% ${at(0.95)} s, longest ${at(1)} s`);
console.log(
  `at most ${mostHosts} hosts and ${mostPrograms} programs with a host at once; the pool may have ${max}`,
);
console.log(
  'told:',
  [...told]
    .sort((one, other) => other[1] - one[1])
    .slice(0, 4)
    .map(([what, times]) => `${what} (${times})`),
);
const down = spawn(process.execPath, [join(root, 'dist/bundle/cli/main.js'), 'pool', 'down', '--all'], {
  env,
});
await new Promise((resolve) => down.on('close', resolve));
rmSync(folder, { recursive: true, force: true });
process.exitCode = failed > 0 || mostHosts > max || mostPrograms > max ? 1 : 0;

function run(id) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let asked;
  child.stdout.setEncoding('utf8').on('data', (text) => {
    for (const line of text.split('\n').filter(Boolean)) {
      asked ??= seconds();
      if (line.startsWith('told ')) {
        const what = line.slice('told '.length).replace(/\d+ programs are/, 'N programs are');
        told.set(what, (told.get(what) ?? 0) + 1);
      } else if (line.startsWith('has ')) {
        now.add(id);
        mostPrograms = Math.max(mostPrograms, now.size);
        order.push({ id, waited: seconds() - asked });
      } else now.delete(id);
    }
  });
  return new Promise((resolve) =>
    child.on('close', (code) => {
      now.delete(id);
      if (code !== 0) failed += 1;
      resolve();
    }),
  );
}

function names(path) {
  try {
    return readdirSync(path);
  } catch {
    // Not there yet.
    return [];
  }
}
