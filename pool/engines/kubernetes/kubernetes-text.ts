/** Writes the Pods and Leases of jobs, and reads what Kubernetes says of them. */
import type { CoreV1Event, V1Lease, V1Pod } from '@kubernetes/client-node';
import { FarlightError } from '../../../proto/errors.js';
import type { JobDescription, JobStatus } from '../engine.js';

/** The settings of a pool for this engine. */
export interface KubernetesSettings {
  /** A context of the kubeconfig; its current one if left out. */
  readonly context?: string | undefined;
  /** The context's own if left out. */
  readonly namespace?: string | undefined;
  readonly serviceAccount?: string;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly tolerations?: readonly object[];
  /** Pods share the network of their node. */
  readonly hostNetwork?: boolean;
  /** The paths at which Pods see volumes, by the names of their claims. */
  readonly claims?: Readonly<Record<string, string>>;
}

/** The label of all that is this user's. */
export const OWNER = 'farlight/owner';
/** Annotations: names of jobs are longer and freer than labels may be. */
const JOB = 'farlight/job';
const TERM = 'farlight/term';
const POD = 'farlight/pod';
/** The stage of a ticket's job. */
const STAGE = 'farlight/stage';

/** The container in each Pod. */
export const CONTAINER = 'job';
/** How long a Pod may take to end after SIGTERM, in seconds. */
const GRACE_S = 5;

/** `waits`: for its turn. `begun`: its Pod is about to be created. `created`: it was. `cancelled`: it is to have none. */
export type Stage = 'waits' | 'begun' | 'created' | 'cancelled';

/** A job that was submitted, as its ticket has it: a Lease of the job's own name. */
export interface Ticket {
  readonly id: string;
  readonly job: string;
  readonly term: number;
  readonly stage: Stage;
  readonly pod: V1Pod;
  readonly lease: V1Lease;
}

/** @throws FarlightError BAD_OPTION where the job's GPUs are none that Kubernetes can count. */
export function podOf(
  job: JobDescription,
  { id, owner, settings }: { id: string; owner: string; settings: KubernetesSettings },
): V1Pod {
  const { limits, folder, image, mounts = [] } = job;
  const { serviceAccount, nodeSelector, tolerations, hostNetwork, claims = {} } = settings;
  // The files that both sides see may be a claim's volume, and may stand among the mounts, too.
  const claimed = Object.values(claims);
  const folders = [...new Set(mounts)].filter((path) => !claimed.includes(path));
  const volumes = [
    ...folders.map((path) => ({ path, volume: { hostPath: { path } } })),
    ...Object.entries(claims).map(([claimName, path]) => ({
      path,
      volume: { persistentVolumeClaim: { claimName } },
    })),
  ];
  return {
    metadata: {
      name: id,
      labels: { [OWNER]: owner },
      annotations: { [JOB]: job.name, [TERM]: String(job.term) },
    },
    spec: {
      // Kubernetes must not run a host again: its token and key are for one term.
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: GRACE_S,
      // A job gets no right on the cluster, and no address of its services.
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      ...(serviceAccount !== undefined && { serviceAccountName: serviceAccount }),
      ...(nodeSelector && { nodeSelector }),
      ...(tolerations && { tolerations: [...tolerations] }),
      ...(hostNetwork && { hostNetwork }),
      ...(limits.minutes !== undefined && { activeDeadlineSeconds: Math.ceil(limits.minutes * 60) }),
      containers: [
        {
          name: CONTAINER,
          ...(image !== undefined && { image }),
          command: job.command.map(literal),
          env: Object.entries(job.environment).map(([name, value]) => ({ name, value: literal(value) })),
          ...(folder !== undefined && { workingDir: folder }),
          resources: { limits: resourcesOf(limits) },
          volumeMounts: volumes.map(({ path }, at) => ({ name: `volume-${at}`, mountPath: path })),
        },
      ],
      volumes: volumes.map(({ volume }, at) => ({ name: `volume-${at}`, ...volume })),
    },
  };
}

/** Kubernetes puts variables in for `$(NAME)`, and reads `$$` as a dollar. */
function literal(text: string): string {
  return text.replaceAll('$', '$$$$');
}

/** A limit alone is the request too. */
function resourcesOf({ cpus, memory, gpus }: JobDescription['limits']): Record<string, string> {
  const [, resource = 'nvidia.com/gpu', count] = /^(?:(.+):)?(\d+)$/.exec(gpus ?? '') ?? [];
  if (!resource.includes('/')) {
    const why = `Kubernetes has no GPUs called ${resource}; give a number, or RESOURCE:NUMBER such as amd.com/gpu:1`;
    throw new FarlightError('BAD_OPTION', why);
  }
  return {
    ...(cpus !== undefined && { cpu: String(cpus) }),
    ...(memory !== undefined && { memory: `${memory}Mi` }),
    ...(count !== undefined && { [resource]: count }),
  };
}

/** The ticket of a job that waits for its turn. */
export function ticketOf(job: JobDescription, pod: V1Pod, owner: string): V1Lease {
  return {
    metadata: {
      ...pod.metadata,
      labels: { [OWNER]: owner },
      annotations: {
        [JOB]: job.name,
        [TERM]: String(job.term),
        [STAGE]: 'waits',
        [POD]: JSON.stringify(pod),
      },
    },
    spec: {},
  };
}

/** Undefined where the Lease is no ticket. */
export function ticketIn(lease: V1Lease): Ticket | undefined {
  const { name: id = '', annotations = {} } = lease.metadata ?? {};
  const { [JOB]: job, [TERM]: term, [STAGE]: stage, [POD]: pod } = annotations;
  if (job === undefined || pod === undefined) return undefined;
  return { id, job, term: Number(term), stage: stage as Stage, pod: JSON.parse(pod), lease };
}

/** The same ticket at another stage. */
export function atStage({ lease }: Ticket, stage: Stage): V1Lease {
  const { metadata } = lease;
  return { ...lease, metadata: { ...metadata, annotations: { ...metadata?.annotations, [STAGE]: stage } } };
}

/** A name that Kubernetes allows, the same for equal names and no others. */
export function lawful(name: string, hash: string): string {
  const plain = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 40);
  return `${plain}-${hash}`;
}

/** In these a Pod stays for ever, whatever happens in the cluster. */
const BLOCKED = [
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'CreateContainerConfigError',
  'CreateContainerError',
];
/** The kubelet has not let the Pod begin, or has ended it for its own sake. */
const BY_SITE = [
  'Evicted',
  'Preempting',
  'NodeShutdown',
  'Terminated',
  'NodeLost',
  'UnexpectedAdmissionError',
  'NodeAffinity',
];
const REFUSED = /^(OutOf\w+|UnexpectedAdmissionError|NodeAffinity|Node\w+Mismatch)$/;

/** `events`: why a Pod that has not begun waits, where its own status does not say it. */
export function statusOf(pod: V1Pod, events: readonly CoreV1Event[] = []): JobStatus {
  const { spec, status = {}, metadata } = pod;
  const container = status.containerStatuses?.[0];
  const terminated = container?.state?.terminated;
  switch (status.phase) {
    case 'Pending': {
      const unscheduled = status.conditions?.find(({ type }) => type === 'PodScheduled');
      if (!spec?.nodeName) {
        const why =
          unscheduled?.message ?? events.at(-1)?.message ?? 'the scheduler has not looked at it yet';
        return { phase: 'queued', why };
      }
      const { reason = '', message = '' } = container?.state?.waiting ?? {};
      if (BLOCKED.includes(reason))
        return { phase: 'starting', why: sentence(reason, message), isBlocked: true };
      const last = events.at(-1)?.message;
      return {
        phase: 'starting',
        why: `its container is being created on ${spec.nodeName}${last ? ` (${last})` : ''}`,
      };
    }
    case 'Running':
      return {
        phase: 'running',
        node: spec?.nodeName ?? '',
        address: status.podIP ?? status.hostIP ?? '',
        incarnation: `${metadata?.uid}.${container?.restartCount ?? 0}`,
      };
    case 'Succeeded':
      return { phase: 'ended', why: 'it ended', isCertain: true, code: 0 };
    case 'Failed': {
      const { reason = '', message = '' } = status;
      const isRefused = REFUSED.test(reason);
      const waiting = container?.state?.waiting;
      if (waiting?.reason === 'RunContainerError')
        return { phase: 'ended', why: `its command cannot be run: ${waiting.message}`, isCertain: true };
      return {
        phase: 'ended',
        isCertain: terminated !== undefined || isRefused,
        ...endOf(reason, message, terminated),
        ...((isRefused || BY_SITE.includes(reason)) && { bySite: true }),
      };
    }
    default:
      return {
        phase: 'ended',
        why: `its node does not answer (${status.reason ?? status.phase})`,
        isCertain: false,
        bySite: true,
      };
  }
}

type Terminated = { readonly exitCode: number; readonly reason?: string; readonly message?: string };
/** Shells and container runtimes add a signal's number to this. */
const SIGNALLED = 128;
/** The command of a container was not found, or cannot be run. */
const NOT_STARTED = ['ContainerCannotRun', 'StartError'];

function endOf(
  reason: string,
  message: string,
  terminated: Terminated | undefined,
): { why: string; code?: number } {
  if (reason === 'DeadlineExceeded') return { why: 'it ran into its time limit' };
  if (reason) return { why: sentence(reason, message) };
  if (!terminated) return { why: 'Kubernetes ended it' };
  const { exitCode, reason: cause = '', message: said = '' } = terminated;
  if (NOT_STARTED.includes(cause)) return { why: `its command cannot be run: ${said}` };
  if (cause === 'OOMKilled') return { why: 'it needed more memory than its limit' };
  if (exitCode > SIGNALLED) return { why: `it was killed (signal ${exitCode - SIGNALLED})` };
  return { why: `it ended with exit code ${exitCode}`, code: exitCode };
}

function sentence(reason: string, message: string): string {
  return message ? `${message} (${reason})` : reason;
}
