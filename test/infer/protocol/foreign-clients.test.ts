import { execFile, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { REPOSITORY } from '../../support/repository.js';
import { folders } from '../../support/trust/trust.js';
import { serving } from './served.js';

const run = promisify(execFile);
/** The interpreter that has gRPC: Debian's own, even if another one comes first. */
const python = ['/usr/bin/python3', 'python3'].find(
  (each) => spawnSync(each, ['-c', 'import grpc, grpc_tools']).status === 0,
);
const hasCurl = spawnSync('curl', ['--version']).status === 0;
const servers = serving();
const temporary = folders();

afterEach(async () => {
  await servers.close();
  temporary.remove();
});

const counting = Array.from({ length: 16 }, (_, at) => at);

describe('clients that nobody of this project wrote', () => {
  it.skipIf(!python)(
    'gRPC for Python uses every method (needs: apt-get install python3-grpcio python3-grpc-tools)',
    async () => {
      const { port } = await servers.grpc({ limit: 4 << 20 });
      const generated = temporary.make();
      const from = join(REPOSITORY, 'infer/grpc');
      const out = [`--python_out=${generated}`, `--grpc_python_out=${generated}`];
      await run(python ?? '', ['-m', 'grpc_tools.protoc', '-I', from, ...out, 'open-inference.proto']);
      const client = join(REPOSITORY, 'test/support/clients/infer-client.py');
      const environment = { env: { ...process.env, PYTHONPATH: generated } };
      const { stdout } = await run(python ?? '', [client, `127.0.0.1:${port}`], environment);
      expect(JSON.parse(stdout)).toEqual({
        live: true,
        ready: true,
        name: 'farlight',
        inputs: ['INPUT0', 'INPUT1'],
        sum: counting.map((each) => each + 1),
        difference: counting.map((each) => each - 1),
        same: true,
        large: 1_200_000,
        streamed: [
          ['raw', false],
          ['wrong', true],
          ['typed', false],
        ],
        wrong: 'NOT_FOUND',
        batch: 8,
        type: 'TYPE_INT32',
        count: expect.any(Number),
        models: expect.any(Number),
      });
    },
    60_000,
  );

  it.skipIf(!hasCurl)(
    'curl sends JSON, and gets a compressed answer (needs: apt-get install curl)',
    async () => {
      const { url } = await servers.http();
      const input = (name: string, data: number[]) => ({ name, datatype: 'INT32', shape: [1, 16], data });
      const body = { inputs: [input('INPUT0', counting), input('INPUT1', Array(16).fill(1))] };
      const sent = ['--data', JSON.stringify(body), '-H', 'content-type: application/json'];
      const { stdout } = await run('curl', [
        '-sS',
        '--fail',
        '--compressed',
        ...sent,
        `${url}/v2/models/simple/infer`,
      ]);
      expect(JSON.parse(stdout).outputs[0].data).toEqual(counting.map((each) => each + 1));
    },
  );

  it.skipIf(!hasCurl)(
    'curl sends 1.2 MB of binary data, for which it awaits a word first (needs: apt-get install curl)',
    async () => {
      const { url } = await servers.http({ limit: 4 << 20 });
      const tensor = {
        name: 'x',
        datatype: 'FP32',
        shape: [300_000],
        parameters: { binary_data_size: 1_200_000 },
      };
      const json = JSON.stringify({ inputs: [tensor], parameters: { binary_data_output: true } });
      const folder = temporary.make();
      const [body, answer] = [join(folder, 'body'), join(folder, 'answer')];
      writeFileSync(body, Buffer.concat([Buffer.from(json), Buffer.alloc(1_200_000)]));
      const headers = ['-H', `Inference-Header-Content-Length: ${json.length}`, '-H', 'Expect: 100-continue'];
      const format = ['-w', '%{http_code} %{size_download} %header{inference-header-content-length}'];
      const files = ['--data-binary', `@${body}`, '-o', answer];
      const { stdout } = await run('curl', [
        '-sS',
        ...headers,
        ...format,
        ...files,
        `${url}/v2/models/echo-FP32/infer`,
      ]);
      const [status, size, length] = stdout.split(' ').map(Number);
      expect(status).toBe(200);
      expect(Number(size) - Number(length)).toBe(1_200_000);
    },
  );

  it.skipIf(!hasCurl)(
    'curl sends nothing but the elements, as the form that it takes them for (needs: apt-get install curl)',
    async () => {
      const { url } = await servers.http();
      const ask = (...headers: string[]) =>
        run('curl', ['-sS', '--data-binary', 'ABCDEFGH', ...headers, `${url}/v2/models/echo-FP32/infer`]);
      const { stdout } = await ask('-H', 'Inference-Header-Content-Length: 0');
      expect(stdout).toMatch(/"shape":\[2\],"parameters":{"binary_data_size":8}}\]}ABCDEFGH$/);
      // Without the header the body would be JSON.
      expect((await ask()).stdout).toMatch(
        /^{"error":"the request, without Inference-Header-Content-Length, is not JSON: /,
      );
    },
  );

  it.skipIf(!hasCurl)('curl shows the error (needs: apt-get install curl)', async () => {
    const { url } = await servers.http();
    const asked = ['-sS', '-d', '{}', '-w', '%{http_code}', `${url}/v2/models/nosuch/infer`];
    const { stdout } = await run('curl', asked);
    expect(stdout).toBe('{"error":"the request needs \\"inputs\\", an array"}400');
  });
});
