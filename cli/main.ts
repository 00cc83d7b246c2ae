#!/usr/bin/env node
/**
 * The command `farlight`. The jobs of pools are a program of their own: another program waits for them, so they must load
 * fast. In the package each of the two is one file, and the files that it loads later are beside it.
 */
const [, , first, second = ''] = process.argv;
const isJob = first === 'pool' && ['host', 'command'].includes(second);
const { main } = await (isJob ? import('./pool/job-commands.js') : import('./commands.js'));
await main();
