// Measures raw TCP: PORT up|down|ping MIB RUNS; prints the median of the runs in milliseconds.
import { once } from 'node:events';
import { connect } from 'node:net';
import { median, times } from '../../workloads/report.mjs';

const [port, what, mib, runs] = process.argv.slice(2);
const BYTES = Number(mib) << 20;
const socket = connect({ port: Number(port), host: '127.0.0.1', noDelay: true });
await once(socket, 'connect');
socket.write(what === 'ping' ? 'ping\n' : `${what} ${BYTES}\n`);
await once(socket, 'data');

const data = Buffer.alloc(what === 'up' ? BYTES : 1, 7);
let missing = 0;
let arrived;
socket.on('data', ({ length }) => {
  missing -= length;
  if (missing <= 0) arrived();
});
const measured = await times(Number(runs), what === 'ping' ? 1000 : 1, () => {
  missing = what === 'down' ? BYTES : 1;
  return new Promise((resolve) => {
    arrived = resolve;
    socket.write(data);
  });
});
console.log(JSON.stringify({ median: median(measured) }));
socket.destroy();
