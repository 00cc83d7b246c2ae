// The smallest round trip, beside the round trips that are possible without Farlight.
import { emulateLink } from '../../dist/testing/index.js';
import { figure, printTable } from '../print.mjs';
import { runWorkload, startHost, startProgram } from '../processes.mjs';

export async function measurePing() {
  const servers = { grpc: startProgram('grpc-server'), tcp: startProgram('tcp-server') };
  const host = await startHost('null');
  try {
    const measured = async (target, url) => {
      const { roundTripUs: us, warmRoundTripUs: warmUs } = await runWorkload(
        'round-trip',
        target,
        'null',
        url,
      );
      return { us, warmUs };
    };
    const farlight = await measured('host', host.url);
    const local = await measured('local');
    const { port } = await servers.grpc.next();
    const grpc = await report('grpc-client', port);
    // Behind a relay a host is far: the session is a gRPC call, as it is across a network.
    const relayed = {
      farlight: await behindRelay(host.url, (url) => measured('host', url)),
      grpc: await behindRelay(`grpc://127.0.0.1:${port}`, (url) => report('grpc-client', new URL(url).port)),
    };
    const tcp = await report('tcp-client', (await servers.tcp.next()).port, 'ping');
    const result = { farlight, local, ...grpc, tcp, relayed };
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
    const echo = relayed.grpc.stream.warmUs;
    const most = 1.5 * echo + local.warmUs;
    console.log(
      `  through a relay, after 10,000: Farlight over gRPC ${figure(relayed.farlight.warmUs)} us, a raw gRPC stream ` +
        `${figure(echo)} us; 1.5 of that and the round trip of local Dawn: ${figure(most)} us`,
    );
    return result;
  } finally {
    await Promise.all([host.stop(), servers.grpc.stop(), servers.tcp.stop()]);
  }
}

/** Measures through a relay that only hands bytes on. */
async function behindRelay(target, measure) {
  const link = await emulateLink({ target });
  try {
    return await measure(link.url);
  } finally {
    await link.close();
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
