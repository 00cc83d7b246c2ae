/** The process that looks after one job until it is over. Its argument is the job's id. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { JobRecord } from '../record/record.js';
import { watchJob } from './watch.js';

const record = new JobRecord(process.argv[2] ?? '');
try {
  await watchJob(record);
} catch (error) {
  // The next command that looks at the job meets the same error, and tells a person.
  if (record.exists)
    writeFileSync(join(record.folder, 'watcher.log'), `${inspect(error)}\n`, { flag: 'a', mode: 0o600 });
  process.exitCode = 1;
}
