import fc from 'fast-check';

/** A template that has each kind of value in each kind of place. */
export const TEMPLATE = `name: every-place
version: 1
about: Has each kind of value in each kind of place.
parameters:
  text: { type: string, maxLength: 1000 }
  list: { type: array, items: { type: string }, default: [] }
  count: { type: integer, minimum: 1, default: 1 }
tasks:
  main:
    count: { default: 1, most: 4 }
    command:
      - run
      - --text=\${parameters.text}
      - literal $\${x}
      - \${arguments}
      - end
    environment:
      TEXT: <\${parameters.text}>
retries: { most: 2, seconds: 1 }
`;

export const REQUEST = `name: fuzzed
kind: training
framework: tensorflow.js@4.22.0
template: every-place@1
pool: local
program: .
tasks: { main: 2 }
arguments: [a, "b c", 3]
parameters:
  text: "a 'text'"
  list: [one, two]
  count: 2
environment: { NAME: value, OTHER: "2" }
resources: { minutes: 5 }
retries: 1
`;

/** Texts that a shell, YAML, JSON or the template itself would take for more than a text. */
const PIECES = [
  ...[
    '"',
    "'",
    '\\',
    '`',
    '$(id)',
    '${arguments}',
    '${parameters.text}',
    '$${',
    '$HOME',
    '; id',
    '| id',
    '&',
  ],
  ...['\n', '\r\n', '\t', '#', ': ', '- ', '{', '}', '[', ']', '*', '!!js', '<<', 'END', '\u2028', 'é', '😀'],
  ...['--import=x', '%j', '%', '~', '\u001b[31m', '__proto__', 'null', '0x1f', '', ' '],
];

export const hostileText = fc
  .array(fc.oneof(fc.constantFrom(...PIECES), fc.string({ unit: 'grapheme', maxLength: 8 })), {
    maxLength: 6,
  })
  .map((parts) => parts.join('').replaceAll('\0', ''));
