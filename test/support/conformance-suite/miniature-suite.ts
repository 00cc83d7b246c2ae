import { execFileSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from '../repository.js';

/**
 * Makes a git repository at `folder` that has the layout of the WebGPU conformance suite, so far as our documentation
 * and scripts touch it, with two files of cases of our own. Returns what has git clone it where the suite's address
 * is named, as variables for git's environment.
 */
export function miniatureSuite(folder: string): NodeJS.ProcessEnv {
  cpSync(join(REPOSITORY, 'test/support/conformance-suite/miniature-suite'), folder, { recursive: true });
  const git = (...args: string[]) => execFileSync('git', ['-C', folder, ...args], { stdio: 'ignore' });
  git('init', '--quiet', '--initial-branch', 'main');
  git('add', '--force', '.');
  const who = ['-c', 'user.name=test', '-c', 'user.email=test@localhost', '-c', 'commit.gpgsign=false'];
  git(...who, 'commit', '--quiet', '--message', 'A miniature of the suite');
  return {
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: `url.file://${folder}.insteadOf`,
    GIT_CONFIG_VALUE_0: 'https://github.com/gpuweb/cts',
    FARLIGHT_REPOSITORY: REPOSITORY,
  };
}
