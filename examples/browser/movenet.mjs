import { run } from './page.mjs';

await run(() => import('./movenet-program.mjs'));
