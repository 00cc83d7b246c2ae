/** Cancels one job. Its argument says which; see `cancelInProcess`. */
import { ENGINES } from './engines.js';
import type { Cancellation } from './run-command.js';

const { engine, settings, id }: Cancellation = JSON.parse(process.argv[2] ?? '{}');
const make = ENGINES[engine as keyof typeof ENGINES];
await make({ [engine]: settings }).cancel(id);
