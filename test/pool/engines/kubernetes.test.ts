// The promises of the engine kubernetes, in a conversation with a real API server that was recorded.
// `npm run test:kubernetes` has it with any cluster.
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { JobStatus } from '#farlight/pool/engines/engine.js';
import { KubernetesEngine } from '#farlight/pool/engines/kubernetes/kubernetes.js';
import { asked } from '#farlight/pool/engines/kubernetes/kubernetes-api.js';
import { how, KubernetesSite } from '../../support/engines/kubernetes-site.js';
import { anyJob, conformance, folder } from '../../support/engines/promises.js';

let named = 0;
/** In a conversation, the names that are drawn are the same each time. */
const identity = {
  owner: how === 'live' ? `test${process.pid}` : 'test',
  fresh: () => {
    named += 1;
    return `${how === 'live' ? process.pid : 0}x${named}`;
  },
};
const interval = how === 'replay' ? 1 : 500;

// A cluster may take long to begin a container.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 300_000 });

describe('a refusal of Kubernetes', () => {
  const refused = (code: number, message: string) =>
    asked(() => Promise.reject(Object.assign(new Error(), { code, body: JSON.stringify({ message }) })));

  it('says what to do about a token that has expired, and about a namespace that is not there', async () => {
    // The client drops the body of this answer.
    const unknown = Object.assign(new Error('HTTP-Code: 401\nMessage: Unauthorized'), { code: 401 });
    await expect(asked(() => Promise.reject(unknown))).rejects.toThrow(
      /^Kubernetes does not admit this user; log in to the cluster again, or renew the token/,
    );
    await expect(refused(404, 'namespaces "gpuu" not found')).rejects.toThrow(
      'Kubernetes refuses: namespaces "gpuu" not found; correct the namespace in the pool\'s file',
    );
  });
});

describe(`the engine kubernetes (${how})`, () => {
  let site: KubernetesSite;
  let engine: KubernetesEngine;
  const config = process.env.KUBECONFIG;
  beforeAll(async () => {
    if (how !== 'live') process.env.FARLIGHT_CONVERSATION = 'kubernetes';
    site = await KubernetesSite.start(folder);
    engine = new KubernetesEngine(
      { namespace: process.env.FARLIGHT_KUBERNETES_NAMESPACE, hostNetwork: true },
      identity,
    );
  });
  afterAll(async () => {
    await engine.clear('');
    const left = await site.close();
    delete process.env.FARLIGHT_CONVERSATION;
    if (config === undefined) delete process.env.KUBECONFIG;
    else process.env.KUBECONFIG = config;
    expect(left).toBe(0);
  }, 120_000);
  const changes = () => site.job;
  conformance(() => engine, {
    changes,
    writesLogs: false,
    keepsLogs: false,
    address: /^\d+\.|:/,
    interval,
    // The files of this machine are not those of a Pod's node.
    waitFor: () => 'sleep 2',
  });

  const job: typeof anyJob = (script, more = {}) => anyJob(script, { ...changes(), ...more });
  const until = async (id: string, is: (status: JobStatus) => boolean) => {
    await expect.poll(async () => is(await engine.status(id)), { timeout: 90_000, interval }).toBe(true);
    return engine.status(id);
  };

  it('says that no node has such a GPU, and gives the job up', async () => {
    const id = await engine.submit(job('true', { limits: { gpus: 'example.com/none:1' } }));
    const status = await until(
      id,
      ({ phase, ...rest }) => phase === 'queued' && /Insufficient/.test(JSON.stringify(rest)),
    );
    expect(status).toMatchObject({ why: expect.stringContaining('Insufficient example.com/none') });
    await engine.cancel(id);
    expect(await until(id, ({ phase }) => phase === 'ended')).toMatchObject({ isCertain: true });
  });

  it('says that an image cannot be fetched, and that a person has to mend it', async () => {
    const image = `127.0.0.1:1/none@sha256:${'7'.repeat(64)}`;
    const id = await engine.submit(job('true', { image }));
    const status = await until(id, (now) => now.phase === 'starting' && now.isBlocked === true);
    expect(status).toMatchObject({ why: expect.stringMatching(/image.*\(ImagePullBackOff\)/) });
    await engine.cancel(id);
    await until(id, ({ phase }) => phase === 'ended');
  });

  it('ends a job at its time limit', async () => {
    const id = await engine.submit(job('sleep 60', { limits: { minutes: 0.05 } }));
    expect(await until(id, ({ phase }) => phase === 'ended')).toMatchObject({
      why: 'it ran into its time limit',
    });
  });

  it('says that its GPUs are not named as Kubernetes names them', async () => {
    await expect(engine.submit(job('true', { limits: { gpus: 'a100:1' } }))).rejects.toThrow(
      /Kubernetes has no GPUs called a100; give a number, or RESOURCE:NUMBER/,
    );
  });
});
