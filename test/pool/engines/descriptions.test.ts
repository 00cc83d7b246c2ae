import { describe, expect, it } from 'vitest';
import { DockerEngine } from '#farlight/pool/engines/docker/docker.js';
import { checkImage } from '#farlight/pool/engines/engine.js';
import { KubernetesEngine } from '#farlight/pool/engines/kubernetes/kubernetes.js';
import { anyJob } from '../../support/engines/promises.js';

describe('the image of a job', () => {
  const digest = `sha256:${'5'.repeat(64)}`;

  it('is a digest where the engine fetches it, and a folder where it is unpacked', () => {
    const registry = { name: 'local', images: 'registry' } as const;
    for (const image of [`ghcr.io/a/b@${digest}`, `node:22@${digest}`, digest]) checkImage(registry, image);
    for (const image of ['node', 'node:22', '/bundles/node', `node@${digest}0`, `no de@${digest}`])
      expect(() => checkImage(registry, image)).toThrow(/needs an image by its digest/);
    expect(() => checkImage(registry, undefined)).toThrow(
      /runs containers only; name an image by its digest/,
    );
    const bundle = { name: 'slurm', images: 'bundle' } as const;
    checkImage(bundle, '/bundles/node');
    checkImage(bundle, undefined);
    expect(() => checkImage(bundle, digest)).toThrow(/slurm needs the path of an OCI bundle/);
  });
});

describe('the mounts of a job', () => {
  const job = anyJob('true', {
    image: `sha256:${'5'.repeat(64)}`,
    mounts: ['/data', '/shared', '/data'],
  });

  it('are there once each, and a claim takes the place of the node’s own folder', () => {
    const identity = { owner: 'ada', fresh: () => '1' };
    const { spec } = JSON.parse(new KubernetesEngine({ claims: { files: '/shared' } }, identity).render(job));
    expect(spec.volumes).toMatchObject([
      { hostPath: { path: '/data' } },
      { persistentVolumeClaim: { claimName: 'files' } },
    ]);
    expect(spec.containers[0].volumeMounts.map(({ mountPath }: { mountPath: string }) => mountPath)).toEqual([
      '/data',
      '/shared',
    ]);
    expect(new DockerEngine().render(job).match(/"Source": "[^"]*"/g)).toEqual([
      '"Source": "/data"',
      '"Source": "/shared"',
    ]);
  });
});
