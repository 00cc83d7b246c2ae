import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { messageOf } from '../../../proto/errors.js';

const EXECUTORS = 'farlight-executors-';
const HOST = 'farlight-host-';

/** Where the system says what is done, and what bounds the memory of a group; a test has others. */
export interface GroupFiles {
  /** Where the groups of version 2 are. */
  root: string;
  /** Says in which of them this process is. */
  own: string;
  controller: string;
  limit: string;
}

/** How many hosts of this process have had groups. */
let made = 0;

const LINUX: GroupFiles = {
  root: '/sys/fs/cgroup',
  own: '/proc/self/cgroup',
  controller: 'memory',
  limit: 'memory.max',
};

/**
 * A control group of Linux (cgroups(7), version 2) for the executors of a host, whose memory the system keeps within a
 * bound at every moment. The host needs a group of its own for that in which it may make others, as systemd gives it
 * with Delegate=memory.
 */
export class ExecutorGroup {
  readonly #parent: string;
  readonly #folder: string;
  readonly #files: GroupFiles;
  /** Where this process had to go, so that its group may have others within. */
  readonly #host: string | undefined;

  /** @throws Error whose message says why there can be none. */
  constructor(bytes: number, files: GroupFiles = LINUX) {
    this.#files = files;
    this.#parent = parentOf(files);
    const { controller, limit } = files;
    if (!wordsOf(join(this.#parent, 'cgroup.controllers')).includes(controller)) {
      throw new Error(`its control group has no ${controller} controller`);
    }
    removeLeft(this.#parent);
    this.#host = this.#enable();
    made += 1;
    this.#folder = join(this.#parent, `${EXECUTORS}${process.pid}-${made}`);
    try {
      mkdirSync(this.#folder, { recursive: true });
      writeFileSync(join(this.#folder, limit), String(bytes));
    } catch (error) {
      this.close();
      throw new Error(`its control group takes no bound (${messageOf(error)})`);
    }
  }

  /** Puts a process there. */
  add(pid: number | undefined): void {
    try {
      move(pid, this.#folder);
    } catch {
      // It is gone already.
    }
  }

  /** Leaves no group behind, when all processes there have ended. */
  close(): void {
    discard(this.#folder);
    if (this.#host === undefined) return;
    try {
      writeFileSync(join(this.#parent, 'cgroup.subtree_control'), `-${this.#files.controller}`);
      move(process.pid, this.#parent);
    } catch {
      // Another group is there: it stays where it is.
    }
    discard(this.#host);
  }

  /** Has groups within this one be bounded. A group that has such has no processes itself, so this one moves. */
  #enable(): string | undefined {
    const control = join(this.#parent, 'cgroup.subtree_control');
    const { controller } = this.#files;
    if (wordsOf(control).includes(controller)) return undefined;
    const host = join(this.#parent, `${HOST}${process.pid}`);
    try {
      mkdirSync(host, { recursive: true });
      move(process.pid, host);
      writeFileSync(control, `+${controller}`);
      return host;
    } catch (error) {
      try {
        move(process.pid, this.#parent);
      } catch {
        // It had not moved.
      }
      discard(host);
      throw new Error(`its control group is not its own to divide (${messageOf(error)})`);
    }
  }
}

/** The group of this process: or the one around it, where an earlier host in this process has gone into one within. */
function parentOf({ root, own }: GroupFiles): string {
  const path = /^0::(\/.*)$/m.exec(readText(own))?.[1];
  if (path === undefined) throw new Error('the system has no control groups of version 2');
  const folder = join(root, path);
  return basename(folder).startsWith(HOST) ? join(folder, '..') : folder;
}

/** Hosts that were killed leave groups behind; one that is in use cannot be removed. */
function removeLeft(parent: string): void {
  for (const name of readdirSync(parent)) {
    if (name.startsWith(EXECUTORS) || name.startsWith(HOST)) discard(join(parent, name));
  }
}

function move(pid: number | undefined, folder: string): void {
  if (pid !== undefined) writeFileSync(join(folder, 'cgroup.procs'), String(pid));
}

function discard(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // There are processes, or it is not there.
  }
}

function wordsOf(file: string): string[] {
  return readText(file).trim().split(/\s+/);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
