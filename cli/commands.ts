import type { Command } from 'commander';
import { cacheCommand } from './cache.js';
import { doctorCommand } from './doctor/doctor.js';
import { inferCommand } from './infer/command.js';
import { imageCommand } from './job/image.js';
import { jobCommand } from './job/job.js';
import { templateCommand } from './job/template.js';
import { offloadCommand } from './pool/environment.js';
import { poolCommand } from './pool/pool.js';
import { replayCommand } from './replay/command.js';
import { runCommand } from './run/run.js';
import { serveCommand } from './serve.js';
import { sessionCommand } from './session.js';
import { shardCommand } from './shard/shard.js';
import { streamCommand } from './stream/command.js';
import { tokenCommand } from './token.js';
import { topCommand } from './top/top.js';

/** The commands that people type. */
export const COMMANDS: readonly Command[] = [
  serveCommand(),
  runCommand(),
  doctorCommand(),
  replayCommand(),
  topCommand(),
  sessionCommand(),
  shardCommand(),
  inferCommand(),
  streamCommand(),
  poolCommand(),
  offloadCommand(),
  jobCommand(),
  templateCommand(),
  imageCommand(),
  cacheCommand(),
  tokenCommand(),
];
