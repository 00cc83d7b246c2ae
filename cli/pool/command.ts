import { Command } from 'commander';

/** The job of a program's command. People do not type it: it stands in what engines are told to run. */
export function commandCommand(): Command {
  return new Command('command')
    .description('Be the job of a program: what a pool has its engine run.')
    .argument('<command...>')
    .requiredOption('--term <number>', 'which term of its allocation', Number)
    .requiredOption('--exchange <folder>', 'through which the two sides meet')
    .requiredOption('--folder <folder>', 'in which the command runs')
    .requiredOption('--lease <seconds>', 'end when the program has not renewed it for so long', Number)
    .requiredOption('--first <seconds>', 'end when the program does not come for so long', Number)
    .option('--forward', 'signal the command, where the engine signals this process alone')
    .passThroughOptions()
    .action(async (command: string[], options) => {
      const { runCommandJob } = await import('../../pool/environment/command-runner.js');
      await runCommandJob(command, options);
    });
}
