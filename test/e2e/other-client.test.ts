import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PACKET } from '#farlight/proto/wire/packet.js';
import { type TestHost, testHost } from '#farlight/testing/index.js';
import { RawClient } from '../support/clients/raw-client.js';
import { REPOSITORY } from '../support/repository.js';
import { folders } from '../support/trust/trust.js';

const run = promisify(execFile);
/** The interpreter that has gRPC: Debian's own, even if another one comes first. */
const python = ['/usr/bin/python3', 'python3'].find(
  (each) => spawnSync(each, ['-c', 'import grpc, grpc_tools']).status === 0,
);
const temporary = folders();
let host: TestHost;

beforeAll(async () => {
  host = await testHost({ adapter: 'software' });
});

afterAll(async () => {
  await host.close();
  temporary.remove();
});

describe('a client that is written from farlight.proto and docs/protocol.md alone', () => {
  it.skipIf(!python)(
    'a client written from the documents alone writes, copies and reads a buffer (needs: apt-get install python3-grpcio python3-grpc-tools)',
    async () => {
      const { host: target } = new URL(host.url.replace('grpc:', 'http:'));
      const generated = temporary.make();
      const out = [`--python_out=${generated}`, `--grpc_python_out=${generated}`];
      const compiler = ['-m', 'grpc_tools.protoc', '-I', join(REPOSITORY, 'proto'), ...out, 'farlight.proto'];
      await run(python ?? '', compiler);
      const client = join(REPOSITORY, 'test/support/clients/other-client.py');
      const table = join(REPOSITORY, 'docs/operations-table.md');
      const opened = host.counters.sessionsOpened;
      const environment = { env: { ...process.env, PYTHONPATH: generated } };
      const { stdout } = await run(python ?? '', [client, target, table], environment);
      expect(JSON.parse(stdout)).toEqual({
        adapter: expect.stringContaining('SwiftShader'),
        host: host.adapter.name,
        limits: expect.any(Number),
        bytes: 1 << 20,
        same: true,
      });
      expect(host.counters.sessionsOpened).toBe(opened + 1);
    },
    60_000,
  );

  it('the replies to that client are the bytes in docs/protocol.md', async () => {
    const text = readFileSync(join(REPOSITORY, 'docs/protocol.md'), 'utf8');
    const section = text.slice(text.indexOf('## A session, as bytes'), text.indexOf('## Versions'));
    const rows = [...section.matchAll(/^\| (`.+`) \|/gm)].map(([, cell = '']) => cell);
    const bytes = rows.map((cell) =>
      Buffer.concat([...cell.matchAll(/`(.+?)`/g)].map(([, part = '']) => parse(part))),
    );
    const [preface, hello, adapter, device, bye] = bytes as [Buffer, Buffer, Buffer, Buffer, Buffer];
    expect(bytes).toHaveLength(5);
    const client = new RawClient(host.url);
    const send = (packet: Buffer) => client.socket.write(Buffer.concat([length(packet), packet]));
    client.socket.write(preface);
    send(hello);
    await client.next(PACKET.welcome);
    for (const [at, packet] of [adapter, device].entries()) {
      send(packet);
      // A whole flush, whose first record settles this serial: fulfilled.
      const reply = await client.next(PACKET.data);
      expect([...reply.subarray(0, 4)]).toEqual([0, 0, at + 1, 0]);
    }
    send(bye);
    await client.closed;
  });
});

/** Bytes in hexadecimal, or a text. */
function parse(part: string): Buffer {
  return /^[0-9a-f]{2}( [0-9a-f]{2})*$/.test(part)
    ? Buffer.from(part.replaceAll(' ', ''), 'hex')
    : Buffer.from(part);
}

function length(packet: Uint8Array): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt32LE(packet.length);
  return header;
}
