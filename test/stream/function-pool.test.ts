import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { elements, type Tensor } from '#farlight/infer/service/tensor.js';
import { FunctionPool } from '#farlight/stream/run/function-pool.js';

const folder = mkdtempSync(join(tmpdir(), 'farlight-function-pool-'));
const pools: FunctionPool[] = [];
afterAll(async () => {
  await Promise.all(pools.map((pool) => pool.close()));
  rmSync(folder, { recursive: true });
});

function opened(name: string, text: string) {
  const file = join(folder, `${name}.mjs`);
  writeFileSync(
    file,
    `import { appendFileSync } from 'node:fs';\nimport { threadId } from 'node:worker_threads';\n${text}`,
  );
  const pool = new FunctionPool('cpu');
  pools.push(pool);
  const definition = { file, name: 'act', title: name, hash: '' };
  const call = async (n: number) => {
    const given: Tensor = {
      name: 'n',
      datatype: 'INT32',
      shape: [1],
      data: new Uint8Array(Int32Array.of(n).buffer),
    };
    const { out } = await pool.run(definition, { n: given }, ['out']);
    return Number(elements('INT32', (out as Tensor).data as Uint8Array)[0]);
  };
  return { pool, definition, call };
}
const numbers = Array.from({ length: 200 }, (_, n) => n);

describe('threads for the functions of a stream', () => {
  it('are as many as the machine has processors, however many calls come at once', async () => {
    const { call } = opened(
      'threads',
      'export const act = () => ({ out: { data: Int32Array.of(threadId) } });',
    );
    const threads = await Promise.all(numbers.map(call));
    expect(new Set(threads).size).toBeLessThanOrEqual(availableParallelism());
  });

  it('get several calls of a quick function in one message', async () => {
    // A message is one turn of its thread.
    const { call } = opened(
      'turns',
      `let turn = 0;
      const next = () => {
        turn += 1;
        setImmediate(next).unref();
      };
      next();
      export const act = () => ({ out: { data: Int32Array.of(threadId * 1_000_000 + (turn % 1_000_000)) } });`,
    );
    await Promise.all(numbers.map(call));
    const turns = new Set<number>();
    for (let round = 0; round < 3; round += 1)
      for (const turn of await Promise.all(numbers.map(call))) turns.add(turn);
    expect(turns.size).toBeLessThan(numbers.length);
  });

  it('give each call its own answer, where quick calls share a message', async () => {
    const { call } = opened(
      'quick',
      'export const act = ({ n }) => ({ out: { data: Int32Array.of(2 * n.data[0]) } });',
    );
    for (let round = 0; round < 3; round += 1)
      expect(await Promise.all(numbers.map(call))).toEqual(numbers.map((n) => 2 * n));
  });

  it('let a call fail alone, whether it throws or ends its thread', async () => {
    const { call } = opened(
      'fails',
      `export const act = ({ n: { data: [n] } }) => {
        if (n === 150) throw new Error('no');
        if (n === 160) process.exit(1);
        return { out: { data: Int32Array.of(n) } };
      };`,
    );
    const settled = await Promise.allSettled(numbers.map(call));
    const failed = settled.flatMap((each, n) =>
      each.status === 'rejected' ? [[n, each.reason.message]] : [],
    );
    expect(failed).toEqual([
      [150, expect.stringContaining('no')],
      [160, expect.stringContaining('Its worker ended')],
    ]);
  });

  it.skipIf(availableParallelism() < 2)('work side by side on calls that take long', async () => {
    const begun = join(folder, 'begun');
    // Each waits for the other one.
    const { pool, definition, call } = opened(
      'long',
      `import { readFileSync } from 'node:fs';
      export const act = async ({ n }) => {
        appendFileSync(${JSON.stringify(begun)}, 'x');
        while (readFileSync(${JSON.stringify(begun)}).length < 2) await new Promise((wait) => setTimeout(wait, 5));
        return { out: { data: n.data } };
      };`,
    );
    await pool.check(definition);
    expect(await Promise.all([call(1), call(2)])).toEqual([1, 2]);
    expect(readFileSync(begun, 'utf8')).toBe('xx');
  });
});
