import { fileURLToPath } from 'node:url';

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
export const CLI = fileURLToPath(new URL('../../dist/bundle/cli/main.js', import.meta.url));
/** The executor that tests of connections and daemons start in place of the real one. */
export const FAKE_EXECUTOR = new URL('./hosts/fake-executor.mjs', import.meta.url);
