#!/usr/bin/env node
/**
 * The command `farlight`. The jobs of pools are a program of their own, since another program waits for them: in the
 * package each of the two is one file, with what it loads later beside it.
 */
const [, , first, second = ''] = process.argv;
const isJob = first === 'pool' && ['host', 'command'].includes(second);
const { main } = await (isJob ? import('./pool/job-commands.js') : import('./commands.js'));
await main();
