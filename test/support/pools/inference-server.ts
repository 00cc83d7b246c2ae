import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onnxBytes, unary } from '../../infer/lanes/models.js';
import type { Running } from '../hosts/farlight-command.js';
import { until } from '../machine/processes.js';
import type { PoolFolder } from './pool-folder.js';

/** `farlight infer` with one model, `negate`, whose GPU hosts are of a pool. */
export class InferenceServer {
  readonly #running: Running;

  private constructor(running: Running) {
    this.#running = running;
  }

  /** Resolves when it is ready. It is killed with the pool's folder. */
  static async start(pool: PoolFolder, address: string): Promise<InferenceServer> {
    const models = join(pool.folder, 'models');
    mkdirSync(join(models, 'negate/1'), { recursive: true });
    writeFileSync(join(models, 'negate/1/model.onnx'), onnxBytes(unary('Neg', 'FP32', ['batch', 4])));
    const http = ['--listen', '127.0.0.1:0', '--grpc', 'off', '--no-dashboard'];
    const server = new InferenceServer(
      pool.start('infer', '--models', models, '--host', address, '--lanes', '1', ...http),
    );
    const { printed, child } = server.#running;
    await until(() => printed.stdout.includes('ready:') || child.exitCode !== null);
    if (child.exitCode !== null) throw new Error(printed.stderr);
    return server;
  }

  /** The answer of the model. */
  async negated(numbers: readonly number[]): Promise<number[]> {
    const [, url = ''] = /ready: (http:\S+)/.exec(this.#running.printed.stdout) ?? [];
    const inputs = [{ name: 'x', shape: [1, numbers.length], datatype: 'FP32', data: numbers }];
    const answer = await fetch(`${url}/v2/models/negate/infer`, {
      method: 'POST',
      body: JSON.stringify({ inputs }),
    });
    const { outputs, error } = (await answer.json()) as { outputs?: { data: number[] }[]; error?: string };
    if (!outputs) throw new Error(`${error}\n${this.#running.printed.stderr}`);
    return outputs[0]?.data ?? [];
  }

  /** Ends it as a person does. Resolves to its exit code. */
  async end(): Promise<number | null> {
    this.#running.child.kill('SIGTERM');
    return (await this.#running.done).code;
  }
}
