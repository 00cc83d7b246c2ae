import type { Command, Option } from 'commander';

/** An option that a shell completes. */
export interface OptionWords {
  /** All its names, such as `--host`. */
  names: string[];
  about: string;
  /** Its value: none, one of these words, a file or folder, or anything. */
  value: 'none' | 'any' | 'file' | readonly string[];
}

/** A command that a shell completes. */
export interface CommandWords {
  /** As a person types it: `farlight token add`. */
  path: string;
  about: string;
  options: OptionWords[];
  subcommands: { name: string; about: string }[];
  /** The words that its argument may be; undefined if any word will do, or if it has no argument. */
  values: readonly string[] | undefined;
}

const FILES = /<(file|folder)>/;

/** All words of a command and its subcommands, from their definitions. */
export function commandWords(command: Command, above = ''): CommandWords[] {
  const path = `${above}${command.name()}`;
  const subcommands = command.commands.map((each) => ({ name: each.name(), about: each.description() }));
  const help: OptionWords = { names: ['--help', '-h'], about: 'Show this help.', value: 'none' };
  const own: CommandWords = {
    path,
    about: command.description(),
    options: [...command.options.map(optionWords), help],
    subcommands,
    values: command.registeredArguments[0]?.argChoices,
  };
  return [own, ...command.commands.flatMap((each) => commandWords(each, `${path} `))];
}

function optionWords({
  long,
  short,
  description,
  flags,
  argChoices,
  required,
  optional,
}: Option): OptionWords {
  const takes = required || optional;
  const value = !takes ? 'none' : (argChoices ?? (FILES.test(flags) ? 'file' : 'any'));
  return { names: [long, short].filter((name) => name !== undefined), about: description, value };
}
