import { run } from './page.mjs';

await run(() => import('./triangle-program.mjs'));
