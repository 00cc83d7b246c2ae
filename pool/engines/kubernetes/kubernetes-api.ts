import type { CoordinationV1Api, CoreV1Api } from '@kubernetes/client-node';
import { loadInstalled } from '../../../link/files/load-installed.js';
import { clearTimeout, setTimeout } from '../../../link/machine/clock.js';
import { FarlightError, messageOf } from '../../../proto/errors.js';
import type { KubernetesSettings } from './kubernetes-text.js';

export interface Cluster {
  readonly core: CoreV1Api;
  readonly leases: CoordinationV1Api;
  readonly namespace: string;
}

/** @throws FarlightError NOT_INSTALLED, BAD_OPTION (rejects) */
export async function connect({ context, namespace }: KubernetesSettings): Promise<Cluster> {
  const library = await loadInstalled(
    () => import('@kubernetes/client-node'),
    'pools on Kubernetes need a package: run npm install @kubernetes/client-node@1',
  );
  const config = new library.KubeConfig();
  try {
    config.loadFromDefault();
  } catch (error) {
    const why = `the kubeconfig cannot be read (${messageOf(error)}); see KUBECONFIG`;
    throw new FarlightError('BAD_OPTION', why, { cause: error });
  }
  if (context !== undefined) {
    const known = config.getContexts().map(({ name }) => name);
    if (!known.includes(context)) {
      const why = `the kubeconfig has no context ${context}; name one of: ${known.join(', ')}`;
      throw new FarlightError('BAD_OPTION', why);
    }
    config.setCurrentContext(context);
  }
  return {
    core: config.makeApiClient(library.CoreV1Api),
    leases: config.makeApiClient(library.CoordinationV1Api),
    namespace: namespace ?? config.getContextObject(config.currentContext)?.namespace ?? 'default',
  };
}

/** How long the API server may take to answer, in milliseconds. */
const TIMEOUT_MS = 30_000;
/** The codes of an API server that does not know the user, and of one that has too many requests at the moment. */
const UNKNOWN_USER = 401;
const TOO_MANY = 429;

/** @throws FarlightError BAD_OPTION where Kubernetes refuses; UNREACHABLE where it does not answer (rejects). */
export async function asked<T>(ask: () => Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing within ${TIMEOUT_MS / 1000} seconds`)), TIMEOUT_MS);
  });
  try {
    return await Promise.race([ask(), late]);
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (typeof code !== 'number' || code >= 500 || code === TOO_MANY) {
      const why = `Kubernetes does not answer (${messageOf(error).split('\n')[0]}); see that its API server can be reached`;
      throw new FarlightError('UNREACHABLE', why, { cause: error });
    }
    throw new Refused(code, refusal(code, saidIn(error)));
  } finally {
    clearTimeout(timer);
  }
}

/** The same; undefined where Kubernetes answers with one of these codes. */
export async function askedFor<T>(ask: () => Promise<T>, codes: readonly number[]): Promise<T | undefined> {
  try {
    return await asked(ask);
  } catch (error) {
    if (error instanceof Refused && codes.includes(error.status)) return undefined;
    throw error;
  }
}

class Refused extends FarlightError {
  readonly status: number;

  constructor(status: number, why: string) {
    super('BAD_OPTION', why);
    this.status = status;
  }
}

/** A refusal for a person, with what to do where the API server's own words do not say it. */
function refusal(code: number, said: string): string {
  if (code === UNKNOWN_USER)
    return 'Kubernetes does not admit this user; log in to the cluster again, or renew the token in the kubeconfig';
  const todo = /^namespaces "[^"]*" not found/.test(said) ? "; correct the namespace in the pool's file" : '';
  return `Kubernetes refuses: ${said}${todo}`;
}

/** The sentence in the answer of an API server. */
function saidIn(error: unknown): string {
  const { body } = error as { body?: unknown };
  try {
    const { message } = (typeof body === 'string' ? JSON.parse(body) : body) as { message: string };
    return message;
  } catch {
    return String(body ?? messageOf(error).split('\n')[0]);
  }
}
