import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { softwareGpuFolder } from '#farlight/server/software-gpu.js';

/** What a program of test/e2e/programs prints. */
export interface ProgramReport {
  times: number[];
  repeats: boolean;
  ledger: Record<string, number>[];
  outputs: { name: string; base64: string }[];
  digest: unknown;
  reference?: { error: number; digest: unknown };
}

const root = fileURLToPath(new URL('../..', import.meta.url));

/** `farlight run --host HOST -- node PROGRAM`, as a user types it. */
export function runThroughFarlight(host: string, program: string, ...args: string[]): Promise<ProgramReport> {
  return report([
    `${root}dist/cli/main.js`,
    'run',
    '--host',
    host,
    '--',
    'node',
    ...nodeFlags,
    ...path(program),
    ...args,
  ]);
}

/** The same program on local Dawn and the same software GPU. */
export function runLocally(program: string, ...args: string[]): Promise<ProgramReport> {
  const local = `${root}test/support/local-dawn.mjs`;
  return report(['--import', local, ...nodeFlags, ...path(program), ...args], {
    FARLIGHT_TEST_SOFTWARE_GPU: softwareGpuFolder(),
  });
}

/** V8 would optimise ONNX Runtime's WebAssembly for a minute beside what is tested. */
const nodeFlags = ['--liftoff-only'];

const path = (program: string) => [`${root}test/e2e/programs/${program}.mjs`];

async function report(args: string[], env: NodeJS.ProcessEnv = {}): Promise<ProgramReport> {
  const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...env } });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].on('data', (text) => {
      texts[name] += text;
    });
  }
  const code = await new Promise((resolve) => child.on('close', resolve));
  const line = texts.stdout.split('\n').find((text) => text.startsWith('{'));
  if (code !== 0 || !line) throw new Error(`the program ended with ${code}:\n${texts.stdout}${texts.stderr}`);
  return JSON.parse(line);
}
