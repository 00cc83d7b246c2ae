import type { Command, Option } from 'commander';

/** An option, as a shell completes it. */
export interface OptionWords {
  /** `--host` and what else it is called. */
  names: string[];
  about: string;
  /** What its value is: none, one of these, a file or folder, or anything. */
  value: 'none' | 'any' | 'file' | readonly string[];
}

/** A command, as a shell completes it. */
export interface CommandWords {
  /** As it is typed: `farlight token add`. */
  path: string;
  about: string;
  options: OptionWords[];
  subcommands: { name: string; about: string }[];
  /** The words that its argument may be; undefined where any will do, or where it has none. */
  values: readonly string[] | undefined;
}

const FILES = /<(file|folder)>/;

/** What can be typed, by the definition of the command and of those below it. */
export function commandWords(command: Command, above = ''): CommandWords[] {
  const path = `${above}${command.name()}`;
  const subcommands = command.commands.map((each) => ({ name: each.name(), about: each.description() }));
  const help: OptionWords = { names: ['--help', '-h'], about: 'Show how it is used.', value: 'none' };
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
