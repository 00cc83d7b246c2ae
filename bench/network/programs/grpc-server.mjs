// The far end of raw gRPC.
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { PING } from './grpc-service.mjs';

const server = new Server();
server.addService(PING, {
  unary: (call, reply) => reply(null, call.request),
  stream: (call) => call.on('data', (data) => call.write(data)).on('end', () => call.end()),
});
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(JSON.stringify({ port }));
});
