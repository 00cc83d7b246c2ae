import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../machine/free-port.js';
import { killed } from '../machine/processes.js';
import { CLI, REPOSITORY } from '../repository.js';
import { emptyRoot, OWN_PROGRAMS } from './docker-site.js';
import { whyCannot } from './why-cannot.js';

/**
 * The folder with Kubernetes 1.20's own programs: `kube-apiserver`, `kube-controller-manager`, `kube-scheduler`, `kubelet`
 * and `pause`. Debian has their source (`apt-get source kubernetes`), and no package of them.
 */
const BINARIES = process.env.FARLIGHT_KUBERNETES_BINARIES;
const PROGRAMS = ['etcd', 'kubectl', 'dockerd', 'docker', 'docker-registry', 'openssl', 'unshare', 'setpriv'];

/** Why there can be no cluster of a test's own on this machine; undefined where there can. */
export const whyNoCluster: string | undefined =
  BINARIES === undefined || !existsSync(join(BINARIES, 'kubelet'))
    ? 'FARLIGHT_KUBERNETES_BINARIES names no folder with them'
    : whyCannot(
        'a real Kubernetes',
        PROGRAMS,
        'etcd-server kubernetes-client docker.io docker-registry openssl',
      );

/**
 * A real cluster of one node: etcd, API server, controllers, scheduler, kubelet, a Docker and a registry, in namespaces of
 * one process. Its Pods share this machine's network. It goes with this process.
 */
export class KubernetesCluster {
  readonly #folder: string;
  readonly #main: ChildProcess;

  private constructor(folder: string, main: ChildProcess) {
    this.#folder = folder;
    this.#main = main;
  }

  /** Resolves when its node takes Pods. */
  static async start(): Promise<KubernetesCluster> {
    const folder = mkdtempSync(join(tmpdir(), 'kubernetes-'));
    for (const name of ['log', 'pki']) mkdirSync(join(folder, name));
    const ports = await Promise.all(PORTS.map(async (name) => [name, await freePort()] as const));
    const script = join(folder, 'cluster.sh');
    writeFileSync(script, clusterScript(folder, Object.fromEntries(ports) as Record<Port, number>), {
      mode: 0o755,
    });
    writeFileSync(join(folder, 'runc'), RUNC, { mode: 0o755 });
    emptyRoot(join(folder, 'root'));
    const inside = ['--mount', '--uts', '--pid', '--fork', '--mount-proc', '--kill-child', script];
    const log = openSync(join(folder, 'log', 'all'), 'a');
    const main = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', ...inside], {
      stdio: ['pipe', 'pipe', log],
    });
    await new Promise<void>((resolve, reject) => {
      main.stdout?.setEncoding('utf8').once('data', () => resolve());
      main.once('close', () => reject(new Error(`Kubernetes did not start; its logs are in ${folder}/log`)));
    });
    return new KubernetesCluster(folder, main);
  }

  get kubeconfig(): string {
    return join(this.#folder, 'kubeconfig');
  }

  /** An empty image in the cluster's registry, by its digest: mount `/usr`. */
  get image(): string {
    return readFileSync(join(this.#folder, 'image'), 'utf8').trim();
  }

  /** The file of a pool whose hosts are Pods with this machine's Node and this repository. GPU: the image and the mounts. */
  pool(more: string): string {
    const command = JSON.stringify([process.execPath, CLI]);
    const mounts = JSON.stringify([...OWN_PROGRAMS, '/etc', REPOSITORY]);
    const gpu = `image: "${this.image}", mounts: ${mounts}, command: ${command}`;
    return `engine: kubernetes\nkubernetes: { hostNetwork: true }\n${more}`.replaceAll('GPU', gpu);
  }

  /** Runs `kubectl ARGS`. */
  kubectl(...args: string[]): string {
    return execFileSync('kubectl', ['--kubeconfig', this.kubeconfig, ...args], { encoding: 'utf8' });
  }

  /** Kills the API server: told to end, it waits a minute for its watches. Resolves when it is there again. */
  async restart(): Promise<void> {
    const server = () => readFileSync(join(this.#folder, 'api.pid'), 'utf8');
    const before = server();
    this.#main.stdin?.write('restart\n');
    while (server() === before || !this.#isReady()) await pause(200);
  }

  #isReady(): boolean {
    try {
      return (
        execFileSync('kubectl', ['--kubeconfig', this.kubeconfig, 'get', '--raw', '/readyz'], {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
        }) === 'ok'
      );
    } catch {
      return false;
    }
  }

  /** Has the node's Docker do something to the container of a Pod, unless that has ended: `kill`, `pause`, `unpause`. */
  container(what: string, pod: string): void {
    const docker = (...args: string[]) =>
      execFileSync('docker', ['-H', `unix://${this.#folder}/docker.sock`, ...args], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    const labels = ['pod.name', 'container.name'].map((name) => `label=io.kubernetes.${name}`);
    const [id] = docker('ps', '-q', '--filter', `${labels[0]}=${pod}`, '--filter', `${labels[1]}=job`).split(
      '\n',
    );
    try {
      if (id) docker(what, id);
    } catch {
      // It has ended in the meantime.
    }
  }

  async close(): Promise<void> {
    await killed(this.#main);
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

const PORTS = ['api', 'etcd', 'peer', 'controllers', 'scheduler', 'kubelet', 'registry'] as const;
type Port = (typeof PORTS)[number];

/** The kubelet wants processes to be killed last, which a container in a container may not ask for. */
const RUNC = `#!/bin/bash
for argument in "$@"; do
  [ "$before" = --bundle ] && [ -f "$argument/config.json" ] &&
    sed -i 's/"oomScoreAdj":-[0-9]*/"oomScoreAdj":0/' "$argument/config.json"
  before=$argument
done
exec runc "$@"
`;

function clusterScript(folder: string, port: Record<Port, number>): string {
  const api = `https://127.0.0.1:${port.api}`;
  const etcd = `http://127.0.0.1:${port.etcd}`;
  const peer = `http://127.0.0.1:${port.peer}`;
  const image = `127.0.0.1:${port.registry}/empty`;
  return `#!/bin/bash
set -eu
cd ${folder}
export PATH=${BINARIES}:$PATH KUBECONFIG=${folder}/kubeconfig
export DOCKER_HOST=unix://${folder}/docker.sock
# The kubelet keeps logs of containers in a folder of the machine, and deletes those of other clusters.
for folder in /run /var/log; do mount -t tmpfs tmpfs $folder; done
hostname localhost
openssl genrsa -out pki/key 2048 2>/dev/null
token=$(openssl rand -hex 16)
echo "$token,admin,1,system:masters" > pki/tokens
cat > kubeconfig <<END
apiVersion: v1
kind: Config
clusters: [{ name: site, cluster: { server: "${api}", insecure-skip-tls-verify: true } }]
users: [{ name: admin, user: { token: $token } }]
contexts: [{ name: site, context: { cluster: site, user: admin } }]
current-context: site
END
etcd --data-dir etcd --listen-client-urls ${etcd} --advertise-client-urls ${etcd} \\
  --listen-peer-urls ${peer} --initial-advertise-peer-urls ${peer} --initial-cluster default=${peer} 2>log/etcd &
serve() {
  while :; do
    kube-apiserver --etcd-servers ${etcd} --secure-port ${port.api} --bind-address 127.0.0.1 \\
      --advertise-address 127.0.0.1 --cert-dir pki --token-auth-file pki/tokens --authorization-mode RBAC \\
      --service-account-key-file pki/key --service-account-signing-key-file pki/key \\
      --service-account-issuer https://kubernetes --service-cluster-ip-range 10.0.0.0/24 \\
      --endpoint-reconciler-type none --disable-admission-plugins ServiceAccount 2>>log/api &
    echo $! > api.pid
    wait $! || sleep 0.5
  done
}
serve &
until kubectl get --raw /readyz >/dev/null 2>&1; do sleep 0.3; done
kube-controller-manager --leader-elect=false --kubeconfig kubeconfig --service-account-private-key-file pki/key \\
  --port 0 --secure-port ${port.controllers} --bind-address 127.0.0.1 --cert-dir pki/controllers 2>log/controllers &
kube-scheduler --leader-elect=false --kubeconfig kubeconfig --port 0 --secure-port ${port.scheduler} \\
  --cert-dir pki/scheduler 2>log/scheduler &
dockerd --host $DOCKER_HOST --data-root ${folder}/docker --exec-root ${folder}/exec --pidfile ${folder}/docker.pid \\
  --bridge none --iptables=false --ip6tables=false --ip-masq=false --storage-driver vfs --shutdown-timeout 1 \\
  --add-runtime plain=${folder}/runc --default-runtime plain >log/docker 2>&1 &
until docker info >/dev/null 2>&1; do sleep 0.1; done
cat > registry.yaml <<END
version: 0.1
storage: { filesystem: { rootdirectory: ${folder}/registry } }
http: { addr: "127.0.0.1:${port.registry}" }
END
docker-registry serve registry.yaml >log/registry 2>&1 &
# The kubelet takes no image without a byte in it.
echo empty > root/etc/issue
tar -c -C root . | docker import - ${image}:1 >/dev/null
until docker push ${image}:1 >push 2>&1; do sleep 0.3; done
echo ${image}@$(grep -o 'sha256:[0-9a-f]*' push | tail -1) > image
tar -c -C ${BINARIES} pause | docker import --change 'ENTRYPOINT ["/pause"]' - k8s.gcr.io/pause:3.2 >/dev/null
cat > kubelet.yaml <<END
kind: KubeletConfiguration
apiVersion: kubelet.config.k8s.io/v1beta1
authentication: { anonymous: { enabled: true }, webhook: { enabled: false } }
authorization: { mode: AlwaysAllow }
port: ${port.kubelet}
healthzPort: 0
address: 127.0.0.1
failSwapOn: false
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
evictionHard: {}
END
kubelet --config kubelet.yaml --kubeconfig kubeconfig --root-dir ${folder}/kubelet --hostname-override localhost \\
  --cert-dir pki/kubelet --docker-endpoint $DOCKER_HOST --pod-infra-container-image k8s.gcr.io/pause:3.2 \\
  --runtime-cgroups /none --kubelet-cgroups /none --volume-plugin-dir ${folder}/plugins 2>log/kubelet &
# This kubelet looks for sandboxes of ended Pods once a minute, and a deleted Pod stays until its own is gone.
while sleep 1; do
  docker ps -q --filter label=io.kubernetes.docker.type=podsandbox --filter status=exited | xargs -r docker rm
done >/dev/null 2>&1 &
until kubectl get node localhost 2>/dev/null | grep -q ' Ready'; do sleep 0.5; done
echo ready
# A line on stdin: the API server is started again.
while read; do kill -KILL $(cat api.pid) || true; done
wait
`;
}
