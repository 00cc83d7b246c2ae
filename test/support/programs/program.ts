import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { softwareGpuFolder } from '#farlight/server/gpu/software-gpu.js';
import { outputOf } from '../hosts/farlight-command.js';

/** What a program of test/e2e/programs prints. */
export interface ProgramReport {
  times: number[];
  repeats: boolean;
  ledger: Record<string, number>[];
  outputs: { name: string; base64: string }[];
  digest: unknown;
  reference?: { error: number; digest: unknown };
}

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** `farlight run --host HOST -- node PROGRAM`, as a user types it. */
export async function runThroughFarlight(
  host: string,
  program: string,
  ...args: string[]
): Promise<ProgramReport> {
  return report(await nodeThroughFarlight(host, [...nodeFlags, path(program), ...args]));
}

/** The same program on local Dawn and the same software GPU. */
export async function runLocally(program: string, ...args: string[]): Promise<ProgramReport> {
  return report(await nodeLocally([...nodeFlags, path(program), ...args]));
}

/** `farlight run --host HOST -- node ARGS`, in the folder of the repository. Resolves to what it printed. */
export function nodeThroughFarlight(host: string, args: string[]): Promise<string> {
  return nodeWith({}, [`${root}dist/bundle/cli/main.js`, 'run', '--host', host, '--', 'node', ...args]);
}

/** `node ARGS` on local Dawn and the software GPU, likewise. */
export function nodeLocally(args: string[]): Promise<string> {
  const gpu = { FARLIGHT_TEST_SOFTWARE_GPU: softwareGpuFolder() };
  return nodeWith(gpu, ['--import', `${root}test/support/gpus/local-dawn.mjs`, ...args]);
}

/** V8 would optimise ONNX Runtime's WebAssembly for a minute beside what is tested. */
const nodeFlags = ['--liftoff-only'];

const path = (program: string) => `${root}test/e2e/programs/${program}.mjs`;

/** `node ARGS` in the folder of the repository, with this in its environment. Resolves to what it printed. */
export async function nodeWith(env: NodeJS.ProcessEnv, args: string[]): Promise<string> {
  const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...env } });
  const { code, stdout, stderr } = await outputOf(child).done;
  if (code !== 0) throw new Error(`the program ended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}

function report(printed: string): ProgramReport {
  const line = printed.split('\n').find((text) => text.startsWith('{'));
  if (!line) throw new Error(`the program printed no report:\n${printed}`);
  return JSON.parse(line);
}
