import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { isLoopback } from '../../../link/address/loopback.js';
import { native } from '../../../link/machine/globals.js';
import { codeOf, FarlightError, messageOf } from '../../../proto/errors.js';
import type { JobDescription } from '../engine.js';
import { type HttpPlace, httpCall } from '../http-call.js';
import { cancelInProcess } from '../run-command.js';
import type { JobFacts, ListedFacts } from './job-facts.js';
import { factsOf, listedOf, type RestJob, type RestVersion, submissionOf } from './rest-text.js';
import type { SlurmClient } from './slurm-client.js';

/** The settings of a pool for this engine. */
export interface SlurmSettings {
  /** Where slurmrestd listens: `unix:/PATH`, or `https://HOST:PORT`; `http://` on loopback alone. */
  readonly rest: string;
  /** The version of its interface. */
  readonly version: RestVersion;
  /** The file with this user's token (`scontrol token`); the variable SLURM_JWT if left out. */
  readonly tokenFile?: string;
}

/** Slurm's own variable for a user's token. */
const TOKEN_VARIABLE = 'SLURM_JWT';
/** The longest answer, in bytes: a site's list of jobs is in it. */
const MOST_BYTES = 256 << 20;
/** Slurm's number for a job that it does not know. */
const UNKNOWN_JOB = 2017;
/** It has ended already. */
const ALREADY_DONE = 2021;
/** The numbers of errors between Slurm's daemons: nothing was refused. The first one has no other number. */
const BETWEEN_DAEMONS: readonly (readonly [number, number])[] = [
  [-1, -1],
  [1000, 1999],
  [5000, 5999],
];

interface RestAnswer {
  readonly job_id?: number;
  readonly jobs?: readonly RestJob[];
  readonly nodes?: readonly { readonly address?: string }[];
  readonly errors?: readonly RestError[];
}

interface RestError {
  readonly error?: string;
  readonly description?: string;
  readonly error_number?: number;
  readonly error_code?: number;
}

/** Asks a site's Slurm by slurmrestd, where the program's machine has no commands of Slurm's. */
export class SlurmRest implements SlurmClient {
  readonly #settings: SlurmSettings;
  readonly #place: HttpPlace;

  /** @throws FarlightError BAD_OPTION where its address is none that a token may be sent to. */
  constructor(settings: SlurmSettings) {
    this.#settings = settings;
    this.#place = placeOf(settings.rest);
  }

  render(job: JobDescription): string {
    const { version } = this.#settings;
    return `POST ${this.#path('job/submit')}\n${JSON.stringify(submissionOf(job, { version, folder: process.cwd() }), undefined, 2)}\n`;
  }

  async submit(job: JobDescription): Promise<string> {
    const { version } = this.#settings;
    const body = submissionOf(job, { version, folder: process.cwd() });
    const { job_id: id, errors } = await this.#ask('POST', this.#path('job/submit'), body);
    if (id) return String(id);
    throw new FarlightError('BAD_OPTION', `Slurm refuses the job: ${saidIn(errors)}`);
  }

  async job(id: string): Promise<JobFacts | undefined> {
    const { jobs, errors } = await this.#ask('GET', this.#path(`job/${id}`));
    const [job] = jobs ?? [];
    if (job) return factsOf(job);
    if (!errors?.length || has(errors, UNKNOWN_JOB)) return undefined;
    throw silent(errors);
  }

  async accounted(id: string): Promise<JobFacts | undefined> {
    try {
      const path = `/slurmdb/${this.#settings.version}/job/${id}`;
      const [job] = (await this.#ask('GET', path)).jobs ?? [];
      return job && factsOf(job);
    } catch {
      // A site without accounting.
      return undefined;
    }
  }

  async jobs(): Promise<ListedFacts[]> {
    const { jobs, errors } = await this.#ask('GET', this.#path('jobs'));
    if (jobs && !errors?.length) return listedOf(jobs, this.#user());
    throw silent(errors);
  }

  async cancel(id: string): Promise<void> {
    const { errors = [] } = await this.#ask('DELETE', this.#path(`job/${id}`));
    if (errors.length === 0 || has(errors, UNKNOWN_JOB) || has(errors, ALREADY_DONE)) return;
    throw silent(errors);
  }

  cancelNow(id: string): void {
    cancelInProcess({ engine: 'slurm', settings: this.#settings, id });
  }

  async addressOf(node: string): Promise<string> {
    const { nodes } = await this.#ask('GET', this.#path(`node/${node}`));
    return nodes?.[0]?.address || node;
  }

  #path(what: string): string {
    return `/slurm/${this.#settings.version}/${what}`;
  }

  /** @throws FarlightError BAD_OPTION, UNREACHABLE (rejects) */
  async #ask(method: string, path: string, body?: object): Promise<RestAnswer> {
    const { rest, version } = this.#settings;
    const token = this.#token();
    const headers = {
      // One that is to close has a header behind its answer's body: slurmrestd 22.05 writes that too late.
      connection: 'keep-alive',
      ...(token !== undefined && { 'x-slurm-user-name': this.#user(), 'x-slurm-user-token': token }),
    };
    const call = { method, path, headers, body, most: MOST_BYTES };
    const { status, body: bytes } = await httpCall(this.#place, call);
    const text = bytes.toString();
    if (status === 401 || status === 403) {
      const why = `slurmrestd at ${rest} does not admit this user; make a new token (scontrol token) for ${TOKEN_VARIABLE}, or for the pool's tokenFile`;
      throw new FarlightError('BAD_OPTION', why);
    }
    const answer = answerIn(text);
    if (status === 404 && !answer?.errors?.length) {
      const why = `slurmrestd at ${rest} has no ${version}; see which it has (slurmrestd -d list), and name that as the version`;
      throw new FarlightError('BAD_OPTION', why);
    }
    if (!answer) {
      const why = `another server than slurmrestd answers at ${rest} (status ${status}); correct slurm.rest in the pool's file`;
      throw new FarlightError('UNREACHABLE', why);
    }
    const cut = answer.errors?.find((error) => isBetweenDaemons(numberOf(error)));
    if (cut) throw silent([cut]);
    return answer;
  }

  /** Undefined where slurmrestd knows this user by its socket. */
  #token(): string | undefined {
    const { rest, tokenFile } = this.#settings;
    if (tokenFile !== undefined) return tokenIn(tokenFile);
    const token = process.env[TOKEN_VARIABLE];
    if (token) return token;
    if (rest.startsWith('unix:')) return undefined;
    const why = `slurmrestd at ${rest} wants a token; set ${TOKEN_VARIABLE} (scontrol token makes one), or name a tokenFile`;
    throw new FarlightError('BAD_OPTION', why);
  }

  #user(): string {
    return userInfo().username;
  }
}

/** @throws FarlightError BAD_OPTION */
function placeOf(rest: string): HttpPlace {
  const where = {
    who: `slurmrestd at ${rest}`,
    see: 'see that it runs',
    denied: `this user may not open ${rest}; name a slurmrestd that runs for this user`,
  };
  if (rest.startsWith('unix:')) return { ...where, socketPath: rest.slice('unix:'.length) };
  const url = native.URL.canParse(rest) ? new native.URL(rest) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || !/^\/?$/.test(url.pathname) || url.search || url.username) {
    const why = `"${rest}" is not where slurmrestd listens; write unix:/PATH, or https://HOST:PORT`;
    throw new FarlightError('BAD_OPTION', why);
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const isSecure = url.protocol === 'https:';
  if (!isSecure && !isLoopback(host)) {
    const why = `${rest} is plaintext, and others could read this user's token there; name an address with https`;
    throw new FarlightError('BAD_OPTION', why);
  }
  return { ...where, host, port: Number(url.port || (isSecure ? 443 : 80)), isSecure };
}

/** A token in a file, also in the form that `scontrol token` prints. @throws FarlightError BAD_OPTION */
function tokenIn(file: string): string {
  try {
    return readFileSync(file, 'utf8')
      .replace(/^SLURM_JWT=/, '')
      .trim();
  } catch (error) {
    const why = `the token of Slurm in ${file} cannot be read (${codeOf(error) ?? messageOf(error)})`;
    throw new FarlightError('BAD_OPTION', why, { cause: error });
  }
}

function answerIn(text: string): RestAnswer | undefined {
  try {
    const json = JSON.parse(text);
    return typeof json === 'object' && json !== null ? json : undefined;
  } catch {
    return undefined;
  }
}

function numberOf({ error_number: number, error_code: code }: RestError): number {
  return number ?? code ?? 0;
}

function has(errors: readonly RestError[], number: number): boolean {
  return errors.some((error) => numberOf(error) === number);
}

function isBetweenDaemons(number: number): boolean {
  return BETWEEN_DAEMONS.some(([first, last]) => number >= first && number <= last);
}

/** A controller that does not admit the token says no more than that it cannot. */
function silent(errors?: readonly RestError[]): FarlightError {
  const why = `Slurm does not answer: ${saidIn(errors)}; see that its controller runs, and that the token is still good (scontrol token makes another)`;
  return new FarlightError('UNREACHABLE', why);
}

function saidIn(errors: readonly RestError[] = []): string {
  const said = errors.map(({ error, description }) => error || description || '').filter(Boolean);
  return said.join('; ') || 'it does not say why';
}
