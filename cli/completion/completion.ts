import { Argument, Command } from 'commander';
import { type CommandWords, commandWords } from './command-words.js';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

export function completionCommand(): Command {
  const command = new Command('completion')
    .description('Print a script that completes the commands and options of farlight in a shell.')
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .allowExcessArguments(false)
    .action((shell: Shell) => {
      const root = command.parent ?? command;
      process.stdout.write(completionScript(shell, root));
    });
  return command;
}

/** The completion script of a shell, from the definition of the program. */
export function completionScript(shell: Shell, program: Command): string {
  const words = commandWords(program);
  return { bash, zsh, fish }[shell](words);
}

/** The paths of all commands below the program, so that a shell can recognize them. */
const pathsOf = (words: readonly CommandWords[]) =>
  words.map(({ path }) => path).filter((path) => path.includes(' '));

/** Each option as `path --option`, with its possible values. */
function valuesOf(words: readonly CommandWords[]) {
  return words.flatMap(({ path, options }) =>
    options.flatMap(({ names, value }) => names.map((name) => ({ at: `${path} ${name}`, value }))),
  );
}

/** All words that can follow a path. */
const wordsAt = ({ options, subcommands, values = [] }: CommandWords) => [
  ...subcommands.map(({ name }) => name),
  ...values,
  ...options.flatMap(({ names }) => names),
];

function bash(words: readonly CommandWords[]): string {
  const cases = valuesOf(words).flatMap(({ at, value }) => {
    if (value === 'none') return [];
    const gives =
      value === 'file'
        ? 'compopt -o default; return'
        : value === 'any'
          ? 'return'
          : `mapfile -t COMPREPLY < <(compgen -W ${quoted(value.join(' '))} -- "$word"); return`;
    return [`    ${quoted(at)}) ${gives} ;;`];
  });
  const next = words.map((each) => `    ${quoted(each.path)}) words=${quoted(wordsAt(each).join(' '))} ;;`);
  return `# farlight's words for bash. To have them: eval "$(farlight completion bash)"
_farlight() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" at=farlight words='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ \${COMP_WORDS[i]} == -- ]]; then
      # What follows is a program of the user's.
      if declare -F _command_offset >/dev/null; then _command_offset $((i + 1)); else compopt -o default; fi
      return
    fi
    case "$at \${COMP_WORDS[i]}" in
      ${pathsOf(words).map(quoted).join(' | ')}) at="$at \${COMP_WORDS[i]}" ;;
    esac
  done
  case "$at $before" in
${cases.join('\n')}
  esac
  case "$at" in
${next.join('\n')}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _farlight farlight
`;
}

function zsh(words: readonly CommandWords[]): string {
  const cases = valuesOf(words).flatMap(({ at, value }) => {
    if (value === 'none') return [];
    const gives =
      value === 'file' ? '_files; return' : value === 'any' ? 'return' : `compadd ${value.join(' ')}; return`;
    return [`    (${quoted(at)}) ${gives} ;;`];
  });
  const next = words.map(({ path, options, subcommands, values = [] }) => {
    const described = [
      ...subcommands.map(({ name, about }) => `${name}:${about}`),
      ...values,
      ...options.flatMap(({ names, about }) => names.map((name) => `${name}:${about}`)),
    ];
    return `    (${quoted(path)}) offered=(${described.map(quoted).join(' ')}) ;;`;
  });
  return `#compdef farlight
# farlight's words for zsh. To have them: source <(farlight completion zsh), after compinit
_farlight() {
  local at=farlight i
  local -a typed=("\${words[@]}")
  for ((i = 2; i < CURRENT; i++)); do
    if [[ \${typed[i]} == -- ]]; then
      # What follows is a program of the user's.
      words=("\${(@)typed[i+1,-1]}")
      ((CURRENT -= i))
      _normal
      return
    fi
    case "$at \${typed[i]}" in
      (${pathsOf(words).map(quoted).join('|')}) at="$at \${typed[i]}" ;;
    esac
  done
  local -a offered
  case "$at \${typed[CURRENT-1]}" in
${cases.join('\n')}
  esac
  case "$at" in
${next.join('\n')}
  esac
  _describe farlight offered
}
compdef _farlight farlight
`;
}

function fish(words: readonly CommandWords[]): string {
  const lines = words.flatMap(({ path, options, subcommands, values = [] }) => {
    const here = `complete -c farlight -n ${fishQuoted(`test (__farlight_at) = ${fishQuoted(path)}`)}`;
    return [
      ...subcommands.map(({ name, about }) => `${here} -f -a ${name} -d ${fishQuoted(about)}`),
      ...values.map((value) => `${here} -f -a ${value}`),
      ...options.map(({ names, about, value }) => {
        const flags = names.map((name) =>
          name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
        );
        const takes =
          value === 'none'
            ? '-f'
            : value === 'file'
              ? '-r -F'
              : value === 'any'
                ? '-x'
                : `-x -a ${fishQuoted(value.join(' '))}`;
        return `${here} ${flags.join(' ')} ${takes} -d ${fishQuoted(about)}`;
      }),
    ];
  });
  return `# farlight's words for fish. To have them: farlight completion fish | source
function __farlight_at
  set -l at farlight
  for word in (commandline -opc)[2..-1]
    if test "$word" = --
      echo program
      return
    end
    if contains -- "$at $word" ${pathsOf(words).map(fishQuoted).join(' ')}
      set at "$at $word"
    end
  end
  echo $at
end
${lines.join('\n')}
`;
}

/** Quotes a text as one word of bash or zsh. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Quotes a text as one word of fish. */
function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
