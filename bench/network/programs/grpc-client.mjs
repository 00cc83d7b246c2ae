// Measures raw gRPC: PORT; prints the round trip of 4 bytes, over a stream and with a call.
import { credentials, makeClientConstructor } from '@grpc/grpc-js';
import { roundTrips } from '../../workloads/report.mjs';
import { PING } from './grpc-service.mjs';

const Client = makeClientConstructor(PING, 'Ping');
const client = new Client(`127.0.0.1:${process.argv[2]}`, credentials.createInsecure());
const data = Buffer.alloc(4);

const call = client.stream();
let arrived;
call.on('data', () => arrived());
const stream = await roundTrips(() => {
  return new Promise((resolve) => {
    arrived = resolve;
    call.write(data);
  });
});
const unary = await roundTrips(() => {
  return new Promise((resolve, reject) => {
    client.unary(data, (error) => (error ? reject(error) : resolve()));
  });
});
console.log(JSON.stringify({ unary, stream }));
call.cancel();
call.on('error', () => {});
client.close();
