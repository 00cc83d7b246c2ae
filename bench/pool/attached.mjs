// What a host of a pool costs a program, beside the same host where it is named: in steps, and before the first request.
//
//   node bench/pool/attached.mjs [--pairs 20] [--steps 200]
//
// Both programs run all the time, and take turns.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { pairs: { type: 'string', default: '20' }, steps: { type: 'string', default: '200' } },
});
const [pairs, steps] = [Number(values.pairs), Number(values.steps)];
const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'attached-'));
const file = join(folder, 'bench.yaml');
writeFileSync(file, 'idle: 600\ngpu: { adapter: "null" }\n');
const env = { ...process.env, XDG_STATE_HOME: join(folder, 'state') };
const started = [];

try {
  const named = program({});
  const attached = program({ FARLIGHT_HOST: `pool:${file}` });
  await Promise.all([named.tell('wait'), attached.tell('wait')]);
  console.log('before the first request: threads, open files, children');
  for (const [name, { child }] of [
    ['no host named', named],
    ['a pool named', attached],
  ])
    console.log(`  ${name.padEnd(14)} ${footprint(child.pid).join(' ')}`);
  named.end();
  await attached.tell('open');
  const direct = program({ FARLIGHT_HOST: `unix:${socket()}` });
  await direct.tell('open');
  const ratios = [];
  for (const one of [attached, direct]) await one.tell(`steps ${steps}`);
  for (let pair = 0; pair < pairs; pair += 1) {
    const times = new Map();
    for (const one of pair % 2 === 0 ? [attached, direct] : [direct, attached])
      times.set(one, Number(await one.tell(`steps ${steps}`)));
    ratios.push(times.get(attached) / times.get(direct));
  }
  ratios.sort((one, other) => one - other);
  const middle = ratios[Math.floor(pairs / 2)];
  console.log(
    `a step of a program with a host of a pool, beside one that names this host: ${middle.toFixed(3)}`,
  );
  console.log(`  ${pairs} pairs of ${steps} steps; 95% of the median: ${interval(ratios).join(' to ')}`);
} finally {
  for (const { child } of started) child.kill('SIGKILL');
  const down = spawn(process.execPath, [join(root, 'dist/bundle/cli/main.js'), 'pool', 'down', '--all'], {
    env,
  });
  await new Promise((resolve) => down.on('close', resolve));
  rmSync(folder, { recursive: true, force: true });
}

/** The socket of the pool's only host. */
function socket() {
  const [journal = ''] = readdirSync(join(folder, 'state/farlight/pools'));
  return join(folder, 'state/farlight/pools', journal, '1.1.sock');
}

function program(more) {
  const { FARLIGHT_HOST: _, ...own } = env;
  const script = fileURLToPath(new URL('steps.mjs', import.meta.url));
  const child = spawn(process.execPath, [script], {
    env: { ...own, ...more },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const one = {
    child,
    end: () => child.stdin.end(),
    async tell(what) {
      child.stdin.write(`${what}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error('the program has ended');
      return value;
    },
  };
  started.push(one);
  return one;
}

function footprint(pid) {
  const threads = readdirSync(`/proc/${pid}/task`);
  const children = threads.flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean),
  );
  return [threads.length, readdirSync(`/proc/${pid}/fd`).length, children.length];
}

/** The interval in which the median lies with 95%, by the order of the values (binomial). */
function interval(sorted) {
  const count = sorted.length;
  const off = Math.ceil(0.98 * Math.sqrt(count));
  const low = Math.max(0, Math.floor(count / 2) - off);
  const high = Math.min(count - 1, Math.ceil(count / 2) + off - 1);
  return [sorted[low].toFixed(3), sorted[high].toFixed(3)];
}
