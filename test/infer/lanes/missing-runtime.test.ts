import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { type Finished, outputOf } from '../../support/hosts/farlight-command.js';
import { REPOSITORY } from '../../support/repository.js';
import { folders } from '../../support/trust/trust.js';

const temporary = folders();
/** The package with every package that it needs but ONNX Runtime Web. */
let installed: string;

beforeAll(() => {
  installed = temporary.make();
  mkdirSync(join(installed, 'node_modules'));
  for (const name of ['dist', 'package.json'])
    cpSync(join(REPOSITORY, name), join(installed, name), { recursive: true });
  for (const name of readdirSync(join(REPOSITORY, 'node_modules'))) {
    if (name === 'onnxruntime-web') continue;
    symlinkSync(join(REPOSITORY, 'node_modules', name), join(installed, 'node_modules', name));
  }
});
afterAll(() => temporary.remove());

function run(...args: string[]): Promise<Finished> {
  const { child, done } = outputOf(spawn(process.execPath, args, { cwd: installed }));
  onTestFinished(() => void child.kill('SIGKILL'));
  return done;
}

it('a lane without ONNX Runtime Web says in one sentence what to install', async () => {
  const program = `
    import { openGpuLane } from './dist/infer/lanes/gpu/gpu-lane.js';
    openGpuLane({ name: 'a', host: 'grpc://127.0.0.1:1' }).catch(({ message }) => console.log(message));
  `;
  writeFileSync(join(installed, 'program.mjs'), program);
  expect(await run('program.mjs')).toEqual({
    code: 0,
    stdout: expect.stringMatching(
      /^models run on ONNX Runtime Web, which is not installed \([^\n]+\): run npm install onnxruntime-web\n$/,
    ),
    stderr: '',
  });
});

it('farlight infer without ONNX Runtime Web says so before it serves', async () => {
  const args = ['--models', '.', '--adapter', 'null', '--listen', '127.0.0.1:0', '--grpc', 'off'];
  expect(await run('dist/bundle/cli/main.js', 'infer', ...args)).toEqual({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/^farlight: [^\n]+ run npm install [^\n]*onnxruntime-web[^\n]*\n$/),
  });
});
