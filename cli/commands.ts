import type { Command } from 'commander';
import { runProgram } from './program.js';

type Loaders = Readonly<Record<string, () => Promise<Command>>>;

/** The commands that people type, in the order of the help. */
const COMMANDS: Loaders = {
  serve: async () => (await import('./serve.js')).serveCommand(),
  run: async () => (await import('./run/run.js')).runCommand(),
  doctor: async () => (await import('./doctor/doctor.js')).doctorCommand(),
  replay: async () => (await import('./replay/command.js')).replayCommand(),
  top: async () => (await import('./top/top.js')).topCommand(),
  session: async () => (await import('./session.js')).sessionCommand(),
  token: async () => (await import('./token.js')).tokenCommand(),
  cache: async () => (await import('./cache.js')).cacheCommand(),
};

/** Commands for more than one program and its host. */
const BEYOND: Loaders = {
  infer: async () => (await import('./infer/command.js')).inferCommand(),
  stream: async () => (await import('./stream/command.js')).streamCommand(),
  pool: async () => (await import('./pool/pool.js')).poolCommand(),
  offload: async () => (await import('./pool/environment.js')).offloadCommand(),
  job: async () => (await import('./job/job.js')).jobCommand(),
  template: async () => (await import('./job/template.js')).templateCommand(),
  image: async () => (await import('./job/image.js')).imageCommand(),
  shard: async () => (await import('./shard/shard.js')).shardCommand(),
};

/**
 * Loads the command that was typed; all of them where no command has this name, as for the help. To load all takes longer
 * than most commands do.
 */
export async function main(): Promise<void> {
  const [, , typed] = process.argv;
  const all = Object.entries({ ...COMMANDS, ...BEYOND });
  const found = all.filter(([name]) => name === typed);
  const wanted = found.length > 0 ? found : all;
  const load = async ([name, make]: (typeof all)[number]) => {
    const command = await make();
    return name in BEYOND ? command.helpGroup('Beyond one program:') : command;
  };
  await runProgram(() => Promise.all(wanted.map(load)));
}
