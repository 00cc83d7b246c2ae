// Measures raw TCP: PORT up|down MIB RUNS prints the median of the runs in milliseconds, PORT ping the round trip.
import { once } from 'node:events';
import { connect } from 'node:net';
import { median, roundTrips, times } from '../../workloads/report.mjs';

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
const step = () => {
  missing = what === 'down' ? BYTES : 1;
  return new Promise((resolve) => {
    arrived = resolve;
    socket.write(data);
  });
};
const measured =
  what === 'ping' ? await roundTrips(step) : { median: median(await times(Number(runs), 1, step)) };
console.log(JSON.stringify(measured));
socket.destroy();
