// The smallest round trip, beside those that Farlight's could be.
import { figure, printTable } from '../print.mjs';
import { runWorkload, startHost, startProgram } from '../processes.mjs';

export async function measurePing() {
  const servers = { grpc: startProgram('grpc-server'), tcp: startProgram('tcp-server') };
  const host = await startHost('null');
  try {
    const { roundTripUs: farlightUs } = await runWorkload('round-trip', 'host', 'null', host.url);
    const grpc = await report('grpc-client', (await servers.grpc.next()).port);
    const tcp = await report('tcp-client', (await servers.tcp.next()).port, 'ping', 0, 300);
    const result = { farlightUs, streamUs: grpc.streamUs, unaryUs: grpc.unaryUs, tcpUs: tcp.median * 1000 };
    console.log('\nThe smallest round trip over loopback, between two processes');
    const rows = [
      ['write 4 bytes, copy, mapAsync', farlightUs],
      ['raw gRPC, a stream', result.streamUs],
      ['raw gRPC, unary', result.unaryUs],
      ['raw TCP', result.tcpUs],
    ];
    printTable([
      ['', 'median', 'x raw gRPC stream'],
      ...rows.map(([title, us]) => [`  ${title}`, `${figure(us)} us`, (us / result.streamUs).toFixed(2)]),
    ]);
    return result;
  } finally {
    await Promise.all([host.stop(), servers.grpc.stop(), servers.tcp.stop()]);
  }
}

/** Runs a client to its end. */
async function report(name, ...args) {
  const client = startProgram(name, args);
  try {
    return await client.next();
  } finally {
    await client.stop();
  }
}
