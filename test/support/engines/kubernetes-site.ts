import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { KubernetesCluster, whyNoCluster } from './kubernetes-cluster.js';

const FILE = fileURLToPath(new URL('kubernetes-conversation.json.gz', import.meta.url));

/**
 * How the tests meet Kubernetes. `live`: the cluster of the kubeconfig, where FARLIGHT_KUBERNETES_IMAGE names an image
 * with a shell; or one that is started for this, where FARLIGHT_KUBERNETES_BINARIES names a folder with its programs.
 * `record`: the same through `kubectl proxy`, whose address is FARLIGHT_KUBERNETES_PROXY; what is said is
 * written to a file. `replay`: that file stands in for the cluster.
 */
export const how = (process.env.FARLIGHT_KUBERNETES ?? 'replay') as 'live' | 'record' | 'replay';
const { FARLIGHT_KUBERNETES_IMAGE: NAMED } = process.env;
if (how !== 'replay' && !NAMED && (how === 'record' || whyNoCluster !== undefined))
  throw new Error('name an image with a shell, by its digest, in FARLIGHT_KUBERNETES_IMAGE');

/** The image in the conversation. */
const NONE = `sha256:${'0'.repeat(64)}`;
const IMAGE = NAMED ?? NONE;

/** A cluster, or a conversation with one. */
export class KubernetesSite {
  readonly #thread: Worker | undefined;
  readonly #cluster: KubernetesCluster | undefined;
  /** The image and the mounts of a job. Mounts are folders of the nodes. */
  readonly job: { readonly image: string; readonly mounts: string[] };

  private constructor({ thread, cluster }: { thread?: Worker; cluster?: KubernetesCluster }) {
    this.#thread = thread;
    this.#cluster = cluster;
    const isOther = how === 'live' && !cluster;
    const mounts = isOther ? (process.env.FARLIGHT_KUBERNETES_MOUNTS?.split(',') ?? []) : ['/usr'];
    this.job = { image: cluster?.image ?? IMAGE, mounts };
  }

  /** `folder` gets a kubeconfig. The conversation has another name for it. */
  static async start(folder: string): Promise<KubernetesSite> {
    if (how === 'live') {
      if (NAMED) return new KubernetesSite({});
      const cluster = await KubernetesCluster.start();
      process.env.KUBECONFIG = cluster.kubeconfig;
      return new KubernetesSite({ cluster });
    }
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
    return new KubernetesSite({ thread });
  }

  /** @returns how many turns of the conversation were left. */
  async close(): Promise<number> {
    await this.#cluster?.close();
    if (!this.#thread) return 0;
    this.#thread.postMessage('end');
    const [{ left }] = await once(this.#thread, 'message');
    await this.#thread.terminate();
    return left;
  }
}
