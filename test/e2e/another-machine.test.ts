import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startFarlight } from '../support/hosts/farlight-command.js';
import { addressIn, SERVE_ALONE } from '../support/hosts/serve-process.js';
import { until } from '../support/machine/processes.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
const children: ChildProcess[] = [];
let config: string;
let runtime: string;
beforeEach(() => {
  config = temporary.make();
  runtime = temporary.make();
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exited;
  }
  temporary.remove();
});

function farlight(args: string[], more: NodeJS.ProcessEnv = {}) {
  const env = { XDG_CONFIG_HOME: config, XDG_RUNTIME_DIR: runtime, TMPDIR: tmpdir(), ...more };
  const running = startFarlight(args, env);
  children.push(running.child);
  return running;
}

/** `farlight serve` with TLS, when it is ready. */
async function serve(...args: string[]) {
  const listen = args.includes('--require-token') ? '127.0.0.1:0' : 'grpcs://127.0.0.1:0';
  const host = farlight([...SERVE_ALONE, '--listen', listen, ...args]);
  await until(() => host.printed.stdout.includes('adapter:') || host.child.exitCode !== null);
  return { ...host, url: addressIn(host.printed.stdout) };
}

/** Uploads and reads back frames as large as the input of a pose model, and the result of a pass. */
const PROGRAM = `
  const adapter = await navigator.gpu.requestAdapter();
  const device = await adapter.requestDevice();
  const code = '@group(0) @binding(0) var<storage, read_write> data: array<u32>;' +
    '@compute @workgroup_size(1) fn main() { data[0] = data[0] + 1u; }';
  const module = device.createShaderModule({ code });
  const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module } });
  const size = 192 * 192 * 3 * 4;
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const buffer = device.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST });
  const result = device.createBuffer({ size, usage: MAP_READ | COPY_DST });
  const entries = [{ binding: 0, resource: { buffer } }];
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  let frames = 0;
  for (; frames < 20; frames++) {
    device.queue.writeBuffer(buffer, 0, new Uint8Array(size).fill(frames));
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(1);
    pass.end();
    encoder.copyBufferToBuffer(buffer, 0, result, 0, size);
    device.queue.submit([encoder.finish()]);
    await result.mapAsync(GPUMapMode.READ);
    if (result.getMappedRange().byteLength !== size) throw new Error('short');
    result.unmap();
  }
  console.log(frames, 'frames');
  if (process.env.PAUSE) await new Promise((resolve) => process.stdin.once('data', resolve));
  process.exit(0);
`;

const run = (env: NodeJS.ProcessEnv) =>
  farlight(['run', '--stats', '--', process.execPath, '--input-type=module', '-e', PROGRAM], env);

/** Everything about these processes and their children that every user of the machine can read. */
function publicOf(pids: number[]): string {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((each) => /^\d+$/.test(each))) {
    try {
      const [, parent] = /\) \S (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8')) ?? [];
      parents.set(Number(name), Number(parent));
    } catch {
      // It has ended meanwhile.
    }
  }
  const ours = new Set(pids);
  for (let size = 0; size !== ours.size; ) {
    size = ours.size;
    for (const [pid, parent] of parents) if (ours.has(parent)) ours.add(pid);
  }
  return [...ours]
    .map((pid) => `${readFileSync(`/proc/${pid}/cmdline`)}${readFileSync(`/proc/${pid}/comm`)}`)
    .join('\n');
}

describe('a host on another machine', () => {
  it('a program needs only the address that the host prints at its first start', async () => {
    const host = await serve();
    expect(host.url).toMatch(/^grpcs:\/\/flt_[A-Za-z0-9_-]{43}@127\.0\.0\.1:\d+\?ca=[A-Za-z0-9_-]{43}$/);
    const { code, stdout, stderr } = await run({ FARLIGHT_HOST: host.url }).done;
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: '20 frames\n' });
    const examined = await farlight(['doctor', '--adapter', 'null', '--host', host.url, '--json']).done;
    expect(JSON.parse(examined.stdout)).toMatchObject({ healthy: true, host: { adapter: { name: 'null' } } });
    host.child.kill('SIGTERM');
    const stopped = await host.done;
    expect(stopped.code).toBe(0);
    const lines = stopped.stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.filter(({ level }) => level !== 'info')).toEqual([]);
    expect(lines.map(({ msg }) => msg)).toContain('session ended');
    expect(readdirSync(runtime), 'nothing is left of its sockets').toEqual([]);
  });

  it('a restarted host goes on, and does not show its token again', async () => {
    const first = await serve();
    first.child.kill('SIGKILL');
    await first.done;
    const again = await serve();
    const [, token = '', pin] = /\/\/(flt_[^@]+)@.*ca=(.+)/.exec(first.url) ?? [];
    expect(again.url).not.toContain('flt_');
    expect(again.url).toContain(pin);
    expect(again.printed.stdout).toMatch(/\ntokens: .*farlight token add[^\n]*\nadapter:/);
    expect(again.printed.stdout).not.toContain(token);
    const { code } = await run({ FARLIGHT_HOST: again.url.replace('://', `://${token}@`) }).done;
    expect(code).toBe(0);
    expect(readdirSync(runtime), 'what the killed one left is gone').toHaveLength(1);
  });

  it('--require-token demands TLS and a token on loopback, too', async () => {
    const host = await serve('--require-token');
    expect(host.url).toMatch(/^grpcs:\/\/flt_/);
    const nobody = farlight(['run', '--', 'true'], { FARLIGHT_HOST: host.url.replace(/flt_[^@]+@/, '') });
    expect(await nobody.done).toMatchObject({ code: 1, stderr: expect.stringMatching(/asks for a token/) });
  });

  it('no output and no process list shows the token, of the host or of the program', async () => {
    const host = await serve();
    const [token = ''] = /flt_[A-Za-z0-9_-]+/.exec(host.url) ?? [];
    const program = run({ FARLIGHT_HOST: host.url, PAUSE: '1', FARLIGHT_DEBUG: '1' });
    await until(() => program.printed.stdout.includes('frames') || program.child.exitCode !== null);
    const seen = publicOf([host.child.pid ?? 0, program.child.pid ?? 0]);
    expect(seen).toContain('farlight-executor');
    expect(seen).not.toContain(token);
    program.child.stdin.write('go on');
    const { code, stdout, stderr } = await program.done;
    expect(code).toBe(0);
    expect(stderr).toContain('bytes up');
    expect(stdout + stderr).not.toContain(token);
    expect(host.printed.stdout + host.printed.stderr).not.toContain(token);
  });

  it('no process list and no error message shows a typed token', async () => {
    const host = await serve();
    const [token = ''] = /flt_[A-Za-z0-9_-]+/.exec(host.url) ?? [];
    const script = ['--input-type=module', '-e', PROGRAM];
    const typed = farlight(['run', '--host', host.url, '--', process.execPath, ...script], { PAUSE: '1' });
    await until(() => typed.printed.stdout.includes('frames') || typed.child.exitCode !== null);
    expect(publicOf([typed.child.pid ?? 0])).not.toContain(token);
    typed.child.stdin.write('go on');
    expect((await typed.done).code).toBe(0);
    for (const args of [
      ['run', '--host', host.url, '--adapter', 'null', '--', 'true'],
      ['run', `--hots=${host.url}`, '--', 'true'],
      ['run', '--host', host.url.replace('?ca=', '?ac='), '--', 'true'],
      ['doctor', host.url],
    ]) {
      const { code, stdout, stderr } = await farlight(args).done;
      expect(code, args[0]).toBeGreaterThan(0);
      expect(stderr).toMatch(/^farlight: [^\n]+\n$/);
      expect(stdout + stderr).not.toContain(token);
    }
  });
});
