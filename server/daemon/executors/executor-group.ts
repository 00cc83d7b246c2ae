import { readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { makeFolder } from '../../../link/files/make-folder.js';
import { messageOf } from '../../../proto/errors.js';

const EXECUTORS = 'farlight-executors-';
const HOST = 'farlight-host-';

/** The system's files for control groups; a test gives its own. */
export interface GroupFiles {
  /** The folder of all groups, version 2. */
  root: string;
  /** The file that names this process's group. */
  own: string;
  /** The controller of memory. */
  controller: string;
  /** The file with a group's memory limit. */
  limit: string;
}

/** How many groups this process has made, for their names. */
let made = 0;

const LINUX: GroupFiles = {
  root: '/sys/fs/cgroup',
  own: '/proc/self/cgroup',
  controller: 'memory',
  limit: 'memory.max',
};

/**
 * A Linux control group (cgroups(7), version 2) for the executors of a host. The system keeps the group's memory within
 * a limit at every moment. The host itself must be in a group that it may divide, as systemd gives it with
 * Delegate=memory.
 */
export class ExecutorGroup {
  readonly #parent: string;
  readonly #folder: string;
  readonly #files: GroupFiles;
  /** The group into which this process had to move, so that its old group could be divided. */
  readonly #host: string | undefined;

  /** @throws Error whose message says why there can be no group. */
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
      makeFolder(this.#folder);
      writeFileSync(join(this.#folder, limit), String(bytes));
    } catch (error) {
      this.close();
      throw new Error(`its control group accepts no memory limit (${messageOf(error)})`);
    }
  }

  /** Moves a process into the group. */
  add(pid: number | undefined): void {
    try {
      move(pid, this.#folder);
    } catch {
      // The process has exited already.
    }
  }

  /** Removes the group, once all its processes have exited. */
  close(): void {
    discard(this.#folder);
    if (this.#host === undefined) return;
    try {
      writeFileSync(join(this.#parent, 'cgroup.subtree_control'), `-${this.#files.controller}`);
      move(process.pid, this.#parent);
    } catch {
      // Another group is in use there, so this process stays in its group.
    }
    discard(this.#host);
  }

  /** Allows limits for groups inside this one. A divided group cannot have processes itself, so this process moves. */
  #enable(): string | undefined {
    const control = join(this.#parent, 'cgroup.subtree_control');
    const { controller } = this.#files;
    if (wordsOf(control).includes(controller)) return undefined;
    const host = join(this.#parent, `${HOST}${process.pid}`);
    try {
      makeFolder(host);
      move(process.pid, host);
      writeFileSync(control, `+${controller}`);
      return host;
    } catch (error) {
      try {
        move(process.pid, this.#parent);
      } catch {
        // The process had not moved.
      }
      discard(host);
      throw new Error(`it may not divide its control group (${messageOf(error)})`);
    }
  }
}

/** The group of this process; or the group around it, where an earlier host in this process has moved it. */
function parentOf({ root, own }: GroupFiles): string {
  const path = /^0::(\/.*)$/m.exec(readText(own))?.[1];
  if (path === undefined) throw new Error('the system has no control groups of version 2');
  const folder = join(root, path);
  return basename(folder).startsWith(HOST) ? join(folder, '..') : folder;
}

/** Removes the groups of killed hosts. The system does not remove a group that is in use. */
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
    // The group has processes, or does not exist.
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
