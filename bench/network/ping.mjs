// The smallest round trip, beside the round trips that Farlight's could reach.
import { figure, printTable } from '../print.mjs';
import { runWorkload, startHost, startProgram } from '../processes.mjs';

export async function measurePing() {
  const servers = { grpc: startProgram('grpc-server'), tcp: startProgram('tcp-server') };
  const host = await startHost('null');
  try {
    const measured = async (target) => {
      const { roundTripUs: us, warmRoundTripUs: warmUs } = await runWorkload(
        'round-trip',
        target,
        'null',
        host.url,
      );
      return { us, warmUs };
    };
    const farlight = await measured('host');
    const local = await measured('local');
    const grpc = await report('grpc-client', (await servers.grpc.next()).port);
    const tcp = await report('tcp-client', (await servers.tcp.next()).port, 'ping');
    const result = { farlight, local, ...grpc, tcp };
    console.log('\nThe smallest round trip over loopback, between two processes; medians');
    const rows = [
      ['write 4 bytes, copy, mapAsync', farlight],
      ['the same on local Dawn, in one process', local],
      ['raw TCP', tcp],
      ['raw gRPC, a stream', grpc.stream],
      ['raw gRPC, unary', grpc.unary],
    ];
    const beside = ({ us, warmUs }) => [
      `${figure(us)} us`,
      (us / grpc.stream.us).toFixed(2),
      `${figure(warmUs)} us`,
      (warmUs / grpc.stream.warmUs).toFixed(2),
    ];
    printTable([
      ['', 'after 1,000', 'x gRPC stream', 'after 10,000', 'x gRPC stream'],
      ...rows.map(([title, each]) => [`  ${title}`, ...beside(each)]),
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
