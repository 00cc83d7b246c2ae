import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

const FILE = fileURLToPath(new URL('kubernetes-conversation.json.gz', import.meta.url));

/**
 * How the tests meet Kubernetes. `live`: the cluster of the kubeconfig, where FARLIGHT_KUBERNETES_IMAGE names an image
 * with a shell. `record`: the same through `kubectl proxy`, whose address is FARLIGHT_KUBERNETES_PROXY; what is said is
 * written to a file. `replay`: that file stands in for the cluster.
 */
export const how = (process.env.FARLIGHT_KUBERNETES ?? 'replay') as 'live' | 'record' | 'replay';
if (how !== 'replay' && !process.env.FARLIGHT_KUBERNETES_IMAGE)
  throw new Error('name an image with a shell, by its digest, in FARLIGHT_KUBERNETES_IMAGE');

/** The image in the conversation. */
const NONE = `sha256:${'0'.repeat(64)}`;
const IMAGE = process.env.FARLIGHT_KUBERNETES_IMAGE ?? NONE;

/** A cluster, or a conversation with one. */
export class KubernetesSite {
  readonly #thread: Worker | undefined;

  private constructor(thread?: Worker) {
    this.#thread = thread;
  }

  /** The image and the mounts of a job. Mounts are folders of the nodes. */
  readonly job = {
    image: IMAGE,
    mounts: how === 'live' ? (process.env.FARLIGHT_KUBERNETES_MOUNTS?.split(',') ?? []) : ['/usr'],
  };

  /** `folder` gets a kubeconfig. The conversation has another name for it. */
  static async start(folder: string): Promise<KubernetesSite> {
    if (how === 'live') return new KubernetesSite();
    const upstream = how === 'record' ? process.env.FARLIGHT_KUBERNETES_PROXY : undefined;
    const names = [[folder, '/FOLDER'], ...(IMAGE === NONE ? [] : [[IMAGE, NONE]])];
    const thread = new Worker(new URL('conversation.mjs', import.meta.url), {
      workerData: { file: FILE, upstream, names },
    });
    const [{ port }] = await once(thread, 'message');
    const config = join(folder, 'kubeconfig');
    writeFileSync(
      config,
      JSON.stringify({
        clusters: [
          { name: 'site', cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } },
        ],
        contexts: [{ name: 'site', context: { cluster: 'site', user: 'site' } }],
        users: [{ name: 'site', user: {} }],
        'current-context': 'site',
      }),
    );
    process.env.KUBECONFIG = config;
    return new KubernetesSite(thread);
  }

  /** @returns how many turns of the conversation were left. */
  async close(): Promise<number> {
    if (!this.#thread) return 0;
    this.#thread.postMessage('end');
    const [{ left }] = await once(this.#thread, 'message');
    await this.#thread.terminate();
    return left;
  }
}
