// A program that waits until its host has taken some of what it sent, and whose connection thread dies meanwhile.
import { createServer } from 'node:net';
import { remoteHost } from '#farlight/client/transport/open.js';
import { uncleared } from '#farlight/proto/wire/memory.js';

// It takes connections without a word.
const server = createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
let thread;
process.once('worker', (worker) => {
  thread = worker;
});
const hello = { protocolMin: 2, protocolMax: 2, version: '0.0.0-test', program: 'blocked-program.mjs' };
const link = remoteHost(`grpc://127.0.0.1:${server.address().port}`).open(hello, {
  onWelcome: () => {},
  onFrame: () => {},
  onDrain: () => {},
  onClose: ({ code, message }) => {
    process.stdout.write(`closed ${code}: ${message}\n`);
    process.exit();
  },
});
link.ref();
await new Promise((resolve) => setImmediate(resolve));
for (let sent = 0; sent < 20; sent += 1) link.send(uncleared(1 << 20));
// Nothing that it expects: it throws.
thread.postMessage(undefined);
process.stdout.write('waits\n');
link.awaitRoom();
process.stdout.write('has room\n');
