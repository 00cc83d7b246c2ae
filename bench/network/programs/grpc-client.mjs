// Measures raw gRPC: PORT; prints the medians of 4 bytes there and back, in microseconds.
import { credentials, makeClientConstructor } from '@grpc/grpc-js';
import { median, times } from '../../workloads/report.mjs';
import { PING } from './grpc-service.mjs';

const Client = makeClientConstructor(PING, 'Ping');
const client = new Client(`127.0.0.1:${process.argv[2]}`, credentials.createInsecure());
const data = Buffer.alloc(4);

const unary = await times(300, 1000, () => {
  return new Promise((resolve, reject) => {
    client.unary(data, (error) => (error ? reject(error) : resolve()));
  });
});
const call = client.stream();
let arrived;
call.on('data', () => arrived());
const stream = await times(300, 1000, () => {
  return new Promise((resolve) => {
    arrived = resolve;
    call.write(data);
  });
});
console.log(JSON.stringify({ unaryUs: median(unary) * 1000, streamUs: median(stream) * 1000 }));
call.cancel();
call.on('error', () => {});
client.close();
