import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunToken } from '../../client/run-tokens.js';

/** Where the processes of a run's program take their tokens: a folder of this user's alone, until the run ends. */
export class RunFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Undefined where none can be made, which is no reason not to run. */
  static make(tokens: readonly RunToken[]): RunFolder | undefined {
    try {
      const folder = new RunFolder(mkdtempSync(join(tmpdir(), 'farlight-run-')));
      for (const token of tokens) writeFileSync(folder.#of(token), '');
      return folder;
    } catch {
      return undefined;
    }
  }

  /** Whether a process has taken it. */
  isTaken(token: RunToken): boolean {
    return !existsSync(this.#of(token));
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  #of(token: RunToken): string {
    return join(this.path, token);
  }
}
