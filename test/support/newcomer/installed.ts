import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { REPOSITORY } from '../repository.js';

/** A folder of somebody's with files of theirs, in whose node_modules the built package is, and others by link. */
export class Installed {
  readonly folder: string = realpathSync(mkdtempSync(join(tmpdir(), 'farlight-installed-')));

  /** `packages` beside those that Farlight depends on. */
  constructor(packages: readonly string[] = []) {
    const own = join(this.folder, 'node_modules/farlight');
    mkdirSync(own, { recursive: true });
    cpSync(join(REPOSITORY, 'package.json'), join(own, 'package.json'));
    cpSync(join(REPOSITORY, 'dist'), join(own, 'dist'), {
      recursive: true,
      filter: (path) => !path.endsWith('.map'),
    });
    const { dependencies, optionalDependencies } = JSON.parse(
      readFileSync(join(own, 'package.json'), 'utf8'),
    );
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies }).concat(packages)) {
      const link = join(this.folder, 'node_modules', name);
      mkdirSync(dirname(link), { recursive: true });
      symlinkSync(join(REPOSITORY, 'node_modules', name), link);
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
