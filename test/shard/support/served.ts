// A GPT over two hosts in the inference server's folder.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Engine } from '#farlight/infer/engine/engine.js';
import { gpuHost } from '#farlight/infer/hosts/engine-hosts.js';
import { shardHost } from '#farlight/infer/hosts/shard-hosts.js';
import type { Tensor } from '#farlight/infer/service/tensor.js';
import { type Gpt, gptState } from './gpt.mjs';

/** An engine over hosts, with the model `gpt` over two of them for one token behind eight others. It is not loaded yet. */
export async function engineOver(file: Uint8Array, addresses: readonly string[], memory?: number) {
  const folder = mkdtempSync(join(tmpdir(), 'farlight-sharded-'));
  mkdirSync(join(folder, 'gpt/1'), { recursive: true });
  writeFileSync(join(folder, 'gpt/1/model.onnx'), file);
  const shard = 'shard:\n  hosts: 2\n  dimensions: { new: 1, past: [8, 10], all: [9, 11] }\n';
  writeFileSync(join(folder, 'gpt/config.yaml'), shard);
  const hosts = await Promise.all(
    addresses.map((host, at) => gpuHost({ host, name: `host ${at}`, lanes: 1, memory })),
  );
  const log: string[] = [];
  const engine = new Engine({
    folder,
    hosts: [...hosts, shardHost(60_000, { hosts, pools: [] })],
    laneLimit: 120_000,
    log: (message) => void log.push(message),
  });
  const close = async () => {
    await engine.close();
    rmSync(folder, { recursive: true });
  };
  return { engine, log, hosts, close };
}

/** The inputs of a request to it: the token behind a cache of so many numbers. */
export function inputsOf({ layers, width, heads }: Gpt, past: number, number: (at: number) => number) {
  const floats = (name: string, shape: number[]): Tensor => {
    const size = shape.reduce((product, length) => product * length, 1);
    const values = Float32Array.from({ length: size }, (_, at) => number(at));
    return { name, datatype: 'FP32', shape, data: new Uint8Array(values.buffer) };
  };
  const whole = (name: string, value: number): Tensor => {
    const data = new Uint8Array(BigInt64Array.of(BigInt(value)).buffer);
    return { name, datatype: 'INT64', shape: [1, 1], data };
  };
  const cache = Object.keys(gptState(layers)).map((name) => floats(name, [1, heads, past, width / heads]));
  const mask = { ...floats('mask', [1, past + 1]), data: new Uint8Array(4 * (past + 1)) };
  return [whole('ids', 3), whole('positions', past), mask, ...cache];
}
