import { randomBytes } from 'node:crypto';
import { hostname, userInfo } from 'node:os';
import { monotonicNow } from '../../../link/machine/clock.js';
import { pause } from '../../../link/machine/timer.js';
import { FarlightError } from '../../../proto/errors.js';
import {
  checkImage,
  checkLimits,
  type Engine,
  isSilence,
  type JobDescription,
  type JobStatus,
  type ListedJob,
  onlySilent,
} from '../engine.js';
import type { HttpAnswer } from '../http-call.js';
import { cancelInProcess } from '../run-command.js';
import { DockerApi, type DockerCall } from './docker-api.js';
import { CANCELLED, type Container, containerOf, LABELS, statusOf, textOfLog } from './docker-text.js';

/** The settings of a pool for this engine. */
export interface DockerSettings {
  /** The path of the daemon's socket; `DOCKER_HOST` or Docker's own if left out. */
  readonly socket?: string;
  /** The network of the containers; `bridge` if left out. */
  readonly network?: string;
}

/** How long a container may take to end after SIGTERM, in seconds. */
const GRACE_S = 5;
/** How long the daemon may fetch an image, in milliseconds: others take over a job that is not submitted in a minute. */
const FETCH_MS = 45_000;
/** How many ended containers of a name are left for a person who looks for a mistake. */
const KEPT = 3;
/** How often to try for a name that others give up and take. */
const TRIES = 10;
/** How long a new job waits for a daemon that is being started again, in milliseconds, and how often it asks. */
const AWAY_MS = 10_000;
const ASK_MS = 250;

/** Runs jobs as containers of this machine's Docker. */
export class DockerEngine implements Engine {
  readonly name = 'docker';
  readonly limits = ['cpus', 'memory', 'gpus'] as const;
  readonly images = 'registry';
  readonly isHere = false;
  readonly #settings: DockerSettings;
  readonly #api: DockerApi;

  constructor(settings: DockerSettings = {}) {
    this.#settings = settings;
    this.#api = new DockerApi(settings.socket);
  }

  render(job: JobDescription): string {
    return `POST /containers/create\n${JSON.stringify(this.#bodyOf(job), undefined, 2)}\n`;
  }

  async submit(job: JobDescription): Promise<string> {
    checkLimits(this, job.limits);
    checkImage(this, job.image);
    await patiently(() => this.#clear((name) => name === job.name, KEPT));
    const name = `${job.name}.${randomBytes(6).toString('hex')}`;
    const id = await patiently(() => this.#create(job, name));
    // From here on the job is submitted: whoever asks for its status has it start in its turn.
    await this.#startInTurn(id, job.name).catch(onlySilent);
    return id;
  }

  async status(id: string): Promise<JobStatus> {
    const container = await this.#find(id);
    if (!container) return { phase: 'ended', why: 'Docker knows no such container', isCertain: false };
    const status = statusOf(container, hostname());
    const name = container.Config.Labels?.[LABELS.name];
    if (status.phase !== 'queued' || name === undefined) return status;
    // Docker has no queue. So a container that waits is started by the program that looks after its turn has come.
    await this.#startInTurn(id, name);
    const now = await this.#find(id);
    return now ? statusOf(now, hostname()) : status;
  }

  async list(prefix: string): Promise<ListedJob[]> {
    this.#api.check();
    const found: ListedJob[] = [];
    for (const { Id, name } of await this.#containers((each) => each.startsWith(prefix))) {
      const container = await this.#find(Id);
      if (!container) continue;
      const status = statusOf(container, hostname());
      const term = Number(container.Config.Labels?.[LABELS.term]);
      if (status.phase !== 'ended') found.push({ id: Id, name, term, status });
    }
    return found;
  }

  async logs(id: string): Promise<string> {
    const query = { stdout: 'true', stderr: 'true' };
    const answer = await this.#api.call('GET', `/containers/${encodeURIComponent(id)}/logs`, { query });
    return answer.status === 200 ? textOfLog(answer.body) : '';
  }

  async cancel(id: string): Promise<void> {
    const container = await this.#find(id);
    const name = container?.Config.Labels?.[LABELS.name];
    if (!container || name === undefined || statusOf(container, '').phase === 'ended') return;
    if (container.State.Status === 'paused') await this.#change(id, 'unpause');
    await this.#change(id, 'stop', { t: String(GRACE_S) });
    await this.#change(id, 'rename', { name: `${ownName(name, id)}${CANCELLED}` });
    // It had not begun above, and another program has started it since.
    if ((await this.#find(id))?.State.Status === 'running')
      await this.#change(id, 'stop', { t: String(GRACE_S) });
  }

  cancelNow(id: string): void {
    cancelInProcess({ engine: this.name, settings: this.#settings, id });
  }

  async clear(prefix: string): Promise<void> {
    await this.#clear((name) => name.startsWith(prefix), 0);
  }

  /** Deletes ended containers, but for the latest of them. */
  async #clear(isWanted: (name: string) => boolean, kept: number): Promise<void> {
    const ended: Container[] = [];
    for (const { Id } of await this.#containers(isWanted)) {
      const container = await this.#find(Id);
      if (container && statusOf(container, '').phase === 'ended') ended.push(container);
    }
    // The newest is the first.
    for (const { Id } of ended.slice(kept)) await this.#api.call('DELETE', `/containers/${Id}`);
  }

  #bodyOf(job: JobDescription): object {
    return containerOf(job, { user: user(), network: this.#settings.network ?? 'bridge' });
  }

  /**
   * Makes the container of a job, by a name that no other one has. So it is made once, also where the answer to an
   * earlier call was lost.
   *
   * @returns its id.
   */
  async #create(job: JobDescription, name: string): Promise<string> {
    const call = { query: { name }, body: this.#bodyOf(job) };
    let answer = await this.#api.call('POST', '/containers/create', call);
    if (answer.status === 404 && /no such image/i.test(saidBy(answer))) {
      await this.#fetch(job.image ?? '');
      answer = await this.#api.call('POST', '/containers/create', call);
    }
    const made = answer.status === 409 ? await this.#find(name) : undefined;
    if (made) return made.Id;
    if (answer.status === 201) return contentOf<{ Id: string }>(answer).Id;
    throw new FarlightError('BAD_OPTION', `Docker refuses the job: ${saidBy(answer)}`);
  }

  /** Has the daemon fetch an image from its registry. */
  async #fetch(image: string): Promise<void> {
    const [, name, digest = ''] = /^(.+)@(.+)$/.exec(image) ?? [];
    if (name === undefined)
      throw new FarlightError(
        'BAD_OPTION',
        `Docker has no image ${image}; load it, or write it with its name`,
      );
    const query = { fromImage: name, tag: digest };
    const answer = await this.#api.call('POST', '/images/create', { query, timeout: FETCH_MS });
    // Once it has begun, the daemon tells a mistake in the last line.
    const last = answer.body.toString('utf8').trim().split('\n').at(-1) ?? '';
    const [, error = answer.status === 200 ? undefined : saidBy(answer)] =
      /"error":"([^"]*)"/.exec(last) ?? [];
    if (error === undefined) return;
    throw new FarlightError('BAD_OPTION', `Docker cannot fetch the image ${image}: ${error}`);
  }

  /**
   * Starts a container if it is its turn: Docker gives a name to one container at a time, so the job's name is the right
   * to run. A container that has ended leaves the name to the next one.
   */
  async #startInTurn(id: string, name: string): Promise<void> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const renamed = await this.#change(id, 'rename', { name });
      if (renamed.status === 204) return this.#start(id);
      const holder = await this.#find(name);
      if (!holder) continue;
      const { phase } = statusOf(holder, '');
      // The program that gave it the name has ended before it started it.
      if (phase === 'queued') await this.#start(holder.Id);
      if (phase !== 'ended') return;
      await this.#change(holder.Id, 'rename', { name: ownName(name, holder.Id) });
    }
  }

  /** A container that cannot be started says why in its state. */
  async #start(id: string): Promise<void> {
    await this.#change(id, 'start');
  }

  #change(id: string, verb: string, query: DockerCall['query'] = {}): Promise<HttpAnswer> {
    return this.#api.call('POST', `/containers/${encodeURIComponent(id)}/${verb}`, { query });
  }

  async #find(id: string): Promise<Container | undefined> {
    const answer = await this.#api.call('GET', `/containers/${encodeURIComponent(id)}/json`);
    if (answer.status === 404) return undefined;
    if (answer.status !== 200)
      throw new FarlightError('UNREACHABLE', `Docker does not answer: ${saidBy(answer)}`);
    return contentOf<Container>(answer);
  }

  /** The containers of this user's jobs, the newest first. */
  async #containers(isWanted: (name: string) => boolean): Promise<{ Id: string; name: string }[]> {
    const filters = JSON.stringify({ label: [`${LABELS.user}=${user()}`] });
    const answer = await this.#api.call('GET', '/containers/json', { query: { all: 'true', filters } });
    if (answer.status !== 200)
      throw new FarlightError('UNREACHABLE', `Docker does not answer: ${saidBy(answer)}`);
    const all = contentOf<{ Id: string; Labels: Record<string, string> }[]>(answer);
    return all.flatMap(({ Id, Labels }) => {
      const name = Labels[LABELS.name];
      return name !== undefined && isWanted(name) ? [{ Id, name }] : [];
    });
  }
}

/** Tries again for a while where the daemon does not answer. */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  const deadline = monotonicNow() + AWAY_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isSilence(error) || monotonicNow() > deadline) throw error;
      await pause(ASK_MS);
    }
  }
}

/** The name of a container that does not run. */
function ownName(name: string, id: string): string {
  return `${name}.${id.slice(0, 12)}`;
}

function user(): string {
  return String(process.getuid?.() ?? userInfo().username);
}

function contentOf<T>({ body }: HttpAnswer): T {
  return JSON.parse(body.toString('utf8'));
}

function saidBy(answer: HttpAnswer): string {
  try {
    return contentOf<{ message: string }>(answer).message;
  } catch {
    return `status ${answer.status}`;
  }
}
