import { afterEach, describe, expect, it } from 'vitest';
import { inferenceTrust } from '#farlight/infer/door/trust.js';
import { InferenceServer } from '#farlight/infer/inference-server.js';
import { checkHealth } from '../../support/clients/health.js';
import { FakeService } from './fake-service.js';
import { ask, inferenceClient, soon } from './served.js';

const ends: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function serve(tritonMetrics: boolean) {
  const trust = inferenceTrust({ http: '127.0.0.1:0', grpc: '127.0.0.1:0' }, () => {});
  const service = new FakeService();
  const options = { service, trust, name: 'farlight', version: '1.2.3', tritonMetrics, onError: () => {} };
  const server = new InferenceServer(options);
  ends.push(() => server.close(100));
  await server.listen();
  const client = inferenceClient(new URL(server.grpcUrl?.replace('grpc:', 'http:') ?? '').host);
  ends.push(() => client.close());
  const read = async () => (await fetch(`${server.httpUrl}/metrics`)).text();
  return { server, client, service, read };
}

const inputs = [{ name: 'x', datatype: 'INT32', shape: [1], contents: { int_contents: [1] } }];

describe('the figures for Prometheus', () => {
  it('the figures count requests of both protocols, by model and by status', async () => {
    const { server, client, read } = await serve(false);
    await ask(client, 'ModelInfer', { model_name: 'echo-INT32', inputs });
    await ask(client, 'ModelInfer', { model_name: 'nosuch', inputs }).catch(() => {});
    await fetch(`${server.httpUrl}/v2/models/nosuch`);
    const text = await read();
    expect(text).toContain('farlight_infer_success_total{model="echo-INT32",version="1"} 1\n');
    expect(text).toContain('farlight_infer_batch_size_bucket{model="echo-INT32",version="1",le="1"} 1\n');
    expect(text).toContain('farlight_infer_batch_size_count{model="echo-INT32",version="1"} 1\n');
    expect(text).toContain('farlight_infer_request_seconds_count{model="echo-INT32",version="1"} 1\n');
    expect(text).toContain('farlight_infer_refusals_total{reason="not-found"} 1\n');
    expect(text).toContain('farlight_infer_refusals_total{reason="overloaded"} 0\n');
    expect(text).toContain('farlight_infer_answers_total{protocol="grpc",code="OK"} 1\n');
    expect(text).toContain('farlight_infer_answers_total{protocol="grpc",code="NOT_FOUND"} 1\n');
    expect(text).toContain('farlight_infer_answers_total{protocol="http",code="404"} 1\n');
    expect(text).toContain('farlight_infer_ready 1\n');
    expect(text).not.toContain('nv_inference');
  });

  it("the figures have Triton's names, too, if the owner asks for them", async () => {
    const { client, read } = await serve(true);
    await ask(client, 'ModelInfer', { model_name: 'echo-INT32', inputs });
    const text = await read();
    expect(text).toContain('nv_inference_request_success{model="echo-INT32",version="1"} 1\n');
    expect(text).toContain('nv_inference_queue_duration_us{model="echo-INT32",version="1"} 1\n');
  });
});

describe('the health of gRPC', () => {
  it('the health of gRPC is that of the service', async () => {
    const { server, service } = await serve(false);
    const health = () => checkHealth(server.grpcUrl ?? '', 'inference.GRPCInferenceService');
    await soon(async () => expect(await health()).toBe(1));
    service.ready = false;
    await soon(async () => expect(await health()).toBe(2));
  });
});
