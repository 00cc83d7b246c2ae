// A worker: the inference protocol before a service that gives back its input at once, and bare servers of HTTP and of
// gRPC that do the same with bytes.
import { createServer } from 'node:http';
import { parentPort } from 'node:worker_threads';
import { inferenceTrust } from '../../dist/infer/door/trust.js';
import { InferenceServer } from '../../dist/infer/inference-server.js';
import { grpc } from '../../dist/link/grpc/grpc.js';

const tensor = (name) => ({ name, datatype: 'FP32', shape: [-1] });
const metadata = () => ({
  name: 'echo',
  versions: ['1'],
  platform: 'onnxruntime_onnx',
  inputs: [tensor('x')],
  outputs: [tensor('y')],
});
const service = {
  ready: true,
  index: () => [{ name: 'echo', version: '1', state: 'READY' }],
  metadata,
  configuration: () => ({ ...metadata(), maxBatchSize: 0 }),
  statistics: () => [],
  infer: async ({ inputs }) => ({ model: 'echo', version: '1', outputs: [{ ...inputs[0], name: 'y' }] }),
  onRun: () => () => {},
  state: () => ({ requests: 0, backlog: 0, queues: [], hosts: [], lanes: [] }),
  load: async () => {},
  unload: async () => {},
};
const trust = inferenceTrust({ http: '127.0.0.1:0', grpc: '127.0.0.1:0' }, console.error);
const server = new InferenceServer({ service, trust, name: 'bench', version: '0', onError: console.error });
await server.listen();
const bare = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const body = Buffer.concat(chunks);
    response.writeHead(200, { 'content-length': body.length }).end(body);
  });
});
await new Promise((resolve) => bare.listen(0, '127.0.0.1', resolve));
const { Server, ServerCredentials } = grpc();
const bareGrpc = new Server({ 'grpc.max_receive_message_length': -1 });
const asItIs = (bytes) => bytes;
const method = {
  requestStream: false,
  responseStream: false,
  requestDeserialize: asItIs,
  responseSerialize: asItIs,
};
bareGrpc.addService(
  { Echo: { ...method, path: '/bare/Echo' } },
  { Echo: ({ request }, reply) => reply(null, request) },
);
const barePort = await new Promise((resolve, reject) => {
  bareGrpc.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
    error ? reject(error) : resolve(port),
  );
});
parentPort.postMessage({
  http: server.httpUrl,
  grpc: server.grpcUrl.replace('grpc://', ''),
  bare: `http://127.0.0.1:${bare.address().port}`,
  bareGrpc: `127.0.0.1:${barePort}`,
});
