// Bulk bytes both ways, beside raw TCP between two processes, over loopback and over a line.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { emulateLink } from '../../dist/testing/index.js';
import { figure, printTable } from '../print.mjs';
import { runWorkload, startHost, startProgram } from '../processes.mjs';

const MIB = 256;
const RUNS = 3;
const LINE = { rttMs: 30, mbit: 1000 };

export async function measureBulk() {
  const server = startProgram('tcp-server');
  const host = await startHost('null');
  try {
    const { port } = await server.next();
    const loopback = { farlight: await farlight(host.url), tcp: await tcp(port), tls: await withTls() };
    process.stderr.write(`  at ${LINE.rttMs} ms and ${LINE.mbit} Mbit/s ...\n`);
    const line = {
      farlight: await behindLink(host.url, farlight),
      tcp: await behindLink(`grpc://127.0.0.1:${port}`, (url) => tcp(Number(new URL(url).port))),
    };
    const most = (LINE.mbit * 1_000_000) / 8 / (1 << 20);
    console.log(`\n${MIB} MiB, median of ${RUNS}, in MiB/s`);
    const row = (title, { up, down }, share) => [
      `  ${title}`,
      ...[up, down].flatMap((speed, index) => [
        figure(speed),
        share(index ? 'down' : 'up', speed).toFixed(2),
      ]),
    ];
    printTable([
      ['', 'up', 'share', 'down', 'share'],
      row('raw TCP, loopback', loopback.tcp, () => 1),
      row('Farlight, loopback', loopback.farlight, (way, speed) => speed / loopback.tcp[way]),
      row('Farlight, loopback, gRPC with TLS', loopback.tls, (way, speed) => speed / loopback.tcp[way]),
      row(`raw TCP, ${LINE.rttMs} ms, 1 Gbit/s`, line.tcp, (_way, speed) => speed / most),
      row(`Farlight, ${LINE.rttMs} ms, 1 Gbit/s`, line.farlight, (_way, speed) => speed / most),
    ]);
    console.log('  share: of raw TCP over loopback; of what the line carries');
    return { mib: MIB, line: LINE, lineMiBs: most, loopback, emulated: line };
  } finally {
    await Promise.all([host.stop(), server.stop()]);
  }
}

/** A host that asks for a token has TLS, and is reached by gRPC on its own machine too. */
async function withTls() {
  const config = await mkdtemp(join(tmpdir(), 'farlight-bench-'));
  const host = await startHost('null', ['--contents', 'off', '--require-token'], { XDG_CONFIG_HOME: config });
  try {
    // The host writes its first token here, since it has no terminal to show it on.
    return await farlight((await readFile(join(config, 'farlight/host/address'), 'utf8')).trim());
  } finally {
    await host.stop();
    await rm(config, { recursive: true });
  }
}

async function behindLink(target, measure) {
  const link = await emulateLink({ target, ...LINE });
  try {
    return await measure(link.url);
  } finally {
    await link.close();
  }
}

async function farlight(url) {
  const env = { BENCH_MIB: String(MIB), BENCH_RUNS: String(RUNS), FARLIGHT_COMPRESSION: 'off' };
  const { uploadMiBs, downloadMiBs } = await runWorkload('transfer', 'host', 'null', url, env);
  return { up: uploadMiBs, down: downloadMiBs };
}

async function tcp(port) {
  const speeds = {};
  for (const way of ['up', 'down']) {
    const client = startProgram('tcp-client', [port, way, MIB, RUNS]);
    speeds[way] = MIB / ((await client.next()).median / 1000);
    await client.stop();
  }
  return speeds;
}
