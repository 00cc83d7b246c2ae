import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { onnxBytes, simple } from '../infer/lanes/models.js';
import { ask, inferenceClient } from '../infer/protocol/served.js';
import { runFarlight, startFarlight } from '../support/hosts/farlight-command.js';
import { executorsOf, isAlive, until } from '../support/machine/processes.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  await Promise.all(cleanups.splice(0).map((cleanup) => cleanup()));
  temporary.remove();
});

/** A folder with Triton's example model, and a graph that waits until a file is there. */
function models() {
  const folder = temporary.make();
  const put = (name: string, content: string | Uint8Array) => {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), content);
  };
  put('simple/1/model.onnx', onnxBytes(simple()));
  put('broken/1/model.onnx', 'no model');
  const signs = temporary.make();
  const [begun, go] = [join(signs, 'begun'), join(signs, 'go')];
  put(
    'wait/graph.yaml',
    'types: { x: "INT32[-1]", y: "INT32[-1]" }\ninputs: [x]\nsteps:\n  wait:\n    function: wait.mjs#wait\n    resource: cpu\n    inputs: { x: x }\noutputs:\n  y: wait.y\n',
  );
  put(
    'wait/wait.mjs',
    `import { existsSync, writeFileSync } from 'node:fs';
     export async function wait({ x }) {
       writeFileSync(${JSON.stringify(begun)}, '');
       while (!existsSync(${JSON.stringify(go)})) await new Promise((resolve) => setTimeout(resolve, 10));
       return { y: x };
     }\n`,
  );
  return { folder, hasBegun: () => existsSync(begun), release: () => writeFileSync(go, '') };
}

/** `farlight infer` in its own process, when it is ready. */
async function infer(folder: string) {
  const anyPorts = ['--listen', '127.0.0.1:0', '--grpc', '127.0.0.1:0', '--dashboard', '127.0.0.1:0'];
  const args = ['infer', '--models', folder, '--adapter', 'software', '--lanes', '1', ...anyPorts];
  const { child, printed, done } = startFarlight(args);
  cleanups.push(() => child.kill('SIGKILL'));
  await until(() => printed.stdout.includes('ready') || child.exitCode !== null);
  const [, http = '', grpc = '', dashboard = ''] =
    /ready: (\S+) grpc:\/\/(\S+)\ndashboard: (\S+)/.exec(printed.stdout) ?? [];
  return { child, printed, done, http, grpc, dashboard };
}

const counting = Array.from({ length: 16 }, (_, at) => at);
const input = (name: string, data: number[]) => ({ name, datatype: 'INT32', shape: [1, 16], data });

describe('farlight infer', () => {
  it('serves a folder over both protocols, and lets what runs end on SIGTERM', async () => {
    const { folder, hasBegun, release } = models();
    const server = await infer(folder);
    expect(server.printed.stdout).toMatch(
      /^farlight infer ready: http:\/\/127\.0\.0\.1:\d+ grpc:\/\/127\.0\.0\.1:\d+\ndashboard: http:\/\/127\.0\.0\.1:\d+\nnot served: broken version 1: .+\n$/,
    );
    const body = JSON.stringify({ inputs: [input('INPUT0', counting), input('INPUT1', Array(16).fill(1))] });
    const answered = await fetch(`${server.http}/v2/models/simple/infer`, { method: 'POST', body });
    expect(await answered.json()).toMatchObject({
      model_name: 'simple',
      outputs: [
        { name: 'OUTPUT0', data: counting.map((each) => each + 1) },
        { name: 'OUTPUT1', data: counting.map((each) => each - 1) },
      ],
    });
    for (const page of [server.http, server.dashboard]) {
      const metrics = await (await fetch(`${page}/metrics`)).text();
      expect(metrics).toContain('farlight_infer_success_total{model="simple",version="1"} 1\n');
      expect(metrics).toMatch(/^farlight_infer_gpu_memory_limit_bytes\{host="[^"]+"\} [1-9]\d+$/m);
      expect(metrics).toMatch(
        /^farlight_infer_part_seconds_total\{model="simple",version="1",part="gpu"\} 0\.\d+$/m,
      );
    }
    const address = server.dashboard.replace('http://', '');
    const shown = await runFarlight(['top', '--dashboard', address]);
    expect(shown).toMatchObject({ code: 0, stderr: '' });
    expect(shown.stdout).toContain(server.http);
    expect(shown.stdout).toMatch(/^simple 1 +default .* done$/m);
    const json = await runFarlight(['top', '--dashboard', address, '--json']);
    expect(JSON.parse(json.stdout)).toMatchObject({
      totals: { requests: 1 },
      all: { lanes: expect.any(Array) },
    });

    const client = inferenceClient(server.grpc);
    cleanups.push(() => client.close());
    const waits = ask(client, 'ModelInfer', {
      model_name: 'wait',
      inputs: [{ name: 'x', datatype: 'INT32', shape: [1], contents: { int_contents: [7] } }],
    });
    await until(hasBegun);
    server.child.kill('SIGTERM');
    await expect.poll(() => refused(`${server.http}/v2`)).toBe(true);
    release();
    expect(await waits).toMatchObject({ raw_output_contents: [Buffer.from(Int32Array.of(7).buffer)] });
    expect(await server.done).toMatchObject({ code: 0, stderr: expect.not.stringContaining('bug') });
  }, 120_000);

  it('ends at once on a second signal', async () => {
    const { folder, hasBegun } = models();
    const server = await infer(folder);
    const body = JSON.stringify({ inputs: [{ name: 'x', datatype: 'INT32', shape: [1], data: [7] }] });
    // The server ends before it replies.
    fetch(`${server.http}/v2/models/wait/infer`, { method: 'POST', body }).catch(() => {});
    await until(hasBegun);
    server.child.kill('SIGTERM');
    await expect.poll(() => refused(`${server.http}/v2`)).toBe(true);
    server.child.kill('SIGTERM');
    expect((await server.done).code).toBe(1);
  }, 120_000);

  it('ends on a signal while its host starts, and leaves no process', async () => {
    const args = ['infer', '--models', models().folder, '--adapter', 'software', '--listen', '127.0.0.1:0'];
    const { child, done } = startFarlight([...args, '--grpc', 'off', '--log-level', 'silent']);
    cleanups.push(() => child.kill('SIGKILL'));
    let executors: number[] = [];
    while (executors.length === 0) executors = await executorsOf(child.pid as number);
    child.kill('SIGINT');
    expect(await done).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(executors.filter(isAlive)).toEqual([]);
  }, 60_000);

  it.each<[string, string[], RegExp]>([
    ['no folder', [], /name the folder of models: farlight infer --models DIR/],
    ['a folder that is not there', ['--models', '/nonexistent'], /--models \/nonexistent is not a folder/],
    [
      'a GPU of two machines',
      ['--models', '.', '--adapter', 'null', '--host', 'grpc://a:1'],
      /--adapter is for a GPU of this machine/,
    ],
    [
      'an address that is none',
      ['--models', '.', '--listen', 'localhost'],
      /"localhost" is not an address to listen on/,
    ],
    [
      'plaintext for all',
      ['--models', '.', '--grpc', 'grpc://0.0.0.0:1'],
      /not a loopback address, .* write grpcs:\/\/0\.0\.0\.0:1/,
    ],
    [
      'a page for all',
      ['--models', '.', '--dashboard', '0.0.0.0:1'],
      /the dashboard shows every tenant, so it listens on loopback alone/,
    ],
    [
      'a collector that is none',
      ['--models', '.', '--otlp', 'localhost:4318'],
      /"localhost:4318" is no address of a collector for spans/,
    ],
    ['no lanes', ['--models', '.', '--lanes', '0'], /Give a whole number from 1 to 99/],
    ['a host that is not there', ['--models', '.', '--host', 'grpc://127.0.0.1:1'], /127\.0\.0\.1:1/],
    ['a word too many', ['--models', '.', 'models'], /too many arguments|unknown command/],
  ])('%s: one sentence', async (_, args, sentence) => {
    const { code, stdout, stderr } = await runFarlight(['infer', ...args]);
    expect(stderr).toMatch(sentence);
    expect(stderr).toMatch(/^farlight: [^\n]+\n$/);
    expect(stdout).toBe('');
    expect(code).not.toBe(0);
  });

  it('a port that is taken: one sentence', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => other.close());
    const { port } = other.address() as { port: number };
    const { folder } = models();
    const args = ['--models', folder, '--adapter', 'software', '--listen', `127.0.0.1:${port}`];
    const { code, stderr } = await runFarlight(['infer', ...args, '--log-level', 'silent']);
    expect(stderr).toMatch(/^farlight: 127\.0\.0\.1:\d+ is in use already; .* --listen [^\n]+\n$/);
    expect(code).toBe(1);
  }, 60_000);
});

function refused(url: string): Promise<boolean> {
  return fetch(url).then(
    () => false,
    () => true,
  );
}
