/**
 * The texts of a template in which values stand: `--epochs=${parameters.epochs}`. A template is parsed before its values
 * are known, and a value is never parsed at all: it becomes a part of one argument or one variable.
 */
import { FarlightError } from '../../proto/errors.js';

export type Value = string | readonly string[];
export type Values = ReadonlyMap<string, Value>;

type Part = { readonly text: string } | { readonly name: string };

const NAME = /^[a-z]+(\.[A-Za-z][A-Za-z0-9_]*)?$/;

/** The parts of a leaf. `$${` stands for `${` itself. @throws FarlightError BAD_OPTION where a `${` names no value. */
export function parseLeaf(leaf: string): Part[] {
  const parts: Part[] = [];
  let text = '';
  for (let at = 0; at < leaf.length; at += 1) {
    if (leaf.startsWith('$${', at)) {
      text += '${';
      at += 2;
    } else if (leaf.startsWith('${', at)) {
      const end = leaf.indexOf('}', at);
      const name = end < 0 ? leaf.slice(at + 2) : leaf.slice(at + 2, end);
      if (end < 0 || !NAME.test(name)) {
        const why = `"\${${name.slice(0, 40)}" names no value; write it as \${NAME}, and a "\${" of the command itself as $\${`;
        throw new FarlightError('BAD_OPTION', why);
      }
      if (text) parts.push({ text });
      text = '';
      parts.push({ name });
      at = end;
    } else text += leaf[at];
  }
  if (text) parts.push({ text });
  return parts;
}

/** The values that a leaf names, and whether each may be a list: one that stands alone. */
export function namesIn(leaf: string): { name: string; isAlone: boolean }[] {
  const parts = parseLeaf(leaf);
  return parts.flatMap((part) => ('name' in part ? [{ name: part.name, isAlone: parts.length === 1 }] : []));
}

/** The text of a leaf. @throws FarlightError BAD_OPTION where a value is missing, or is a list. */
export function fillText(leaf: string, values: Values): string {
  return parseLeaf(leaf)
    .map((part) => {
      if ('text' in part) return part.text;
      const value = wanted(part.name, values);
      if (typeof value === 'string') return value;
      throw new FarlightError(
        'BAD_OPTION',
        `${part.name} is a list, which can only be an argument by itself`,
      );
    })
    .join('');
}

/** The arguments of a command. A list that stands alone becomes as many arguments as it has values. */
export function fillCommand(leaves: readonly string[], values: Values): string[] {
  return leaves.flatMap((leaf) => {
    const [part, ...others] = parseLeaf(leaf);
    if (!part || !('name' in part) || others.length > 0) return [fillText(leaf, values)];
    return wanted(part.name, values);
  });
}

function wanted(name: string, values: Values): Value {
  const value = values.get(name);
  if (value === undefined)
    throw new FarlightError('BAD_OPTION', `the template needs ${name}, which the request lacks`);
  return value;
}
