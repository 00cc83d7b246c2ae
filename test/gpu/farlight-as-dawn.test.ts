import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** An application whose package.json replaces npm `webgpu` by Farlight, also for Farlight itself. */
let app: string;
/** One line for each executor process that started. */
const starts = () => readFileSync(join(app, 'starts'), 'utf8').split('\n').length - 1;

beforeAll(() => {
  app = mkdtempSync(join(tmpdir(), 'farlight-app-'));
  const modules = join(app, 'node_modules');
  mkdirSync(modules);
  for (const name of readdirSync(join(ROOT, 'node_modules'))) {
    if (name !== 'webgpu' && !name.startsWith('.')) {
      symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
    }
  }
  mkdirSync(join(modules, 'webgpu'));
  for (const part of ['dist', 'package.json']) {
    cpSync(join(ROOT, part), join(modules, 'webgpu', part), { recursive: true });
  }
  // If executors started executors, the third one would end that.
  const main = join(modules, 'webgpu/dist/bundle/server/executor/main.js');
  const code = readFileSync(main, 'utf8');
  const count = `
    import { appendFileSync as noteStart, readFileSync as notedStarts } from 'node:fs';
    noteStart(${JSON.stringify(join(app, 'starts'))}, 'one\\n');
    if (notedStarts(${JSON.stringify(join(app, 'starts'))}).length > 12) process.exit(9);\n`;
  writeFileSync(main, count + code);
});
afterAll(() => rmSync(app, { recursive: true, force: true }));

async function run(program: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  writeFileSync(join(app, 'starts'), '');
  const file = join(app, 'program.mjs');
  writeFileSync(file, program);
  const child = spawn(process.execPath, [file], {
    cwd: app,
    env: { ...process.env, FARLIGHT_HOST: '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout.on('data', (text) => {
    printed += text;
  });
  await once(child, 'close');
  return printed;
}

const ASK = `
  import { create } from 'webgpu';
  const error = await create(['adapter=null']).requestAdapter().then(() => undefined, (error) => error);
  console.log(error?.code, error?.message);`;

describe('where npm webgpu is Farlight itself', () => {
  it('a private host starts one executor, and says how to get Dawn', async () => {
    const { optionalDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    const said = await run(ASK);
    expect(said).toMatch(/^NO_ADAPTER the package webgpu is Farlight itself here/);
    expect(said).toContain(`"webgpu": { ".": FARLIGHT, "webgpu": "${optionalDependencies.webgpu}" }`);
    expect(starts()).toBe(1);
  });

  it('an executor starts no private host', async () => {
    const said = await run(ASK, { FARLIGHT_EXECUTOR: '1' });
    expect(said).toMatch(/^NO_ADAPTER this process is a GPU executor/);
    expect(starts()).toBe(0);
  });
});
