import { run } from './page.mjs';

await run(() => import('./three-program.mjs'));
