/** Emits the declaration, converter, writer and reader of each enum and dictionary that rows use. */
import type { Dictionary, Idl, Member, Type } from './idl.js';
import { convert, declare, read, unionHelpers, unions, write } from './types.js';

export interface Used {
  enums: Set<string>;
  dictionaries: Set<string>;
}

/** Adds the dictionaries and enums that `type` refers to, and those that they refer to. */
export function use(dictionaries: Idl['dictionaries'], used: Used, type: Type): void {
  switch (type.kind) {
    case 'enum':
      used.enums.add(type.name);
      return;
    case 'dictionary': {
      if (used.dictionaries.has(type.name)) return;
      used.dictionaries.add(type.name);
      const dictionary = dictionaries.get(type.name);
      if (!dictionary) throw new Error(`No dictionary ${type.name}`);
      for (const member of dictionary.members) use(dictionaries, used, member.type);
      return;
    }
    case 'sequence':
    case 'record':
    case 'nullable':
      use(dictionaries, used, type.of);
      return;
    case 'union':
      for (const part of type.of) use(dictionaries, used, part);
      return;
  }
}

export function emitEnum(name: string, values: readonly string[]): string {
  const list = values.map((value) => `  '${value}',`).join('\n');
  return `export const ${name} = [\n${list}\n] as const;\nexport type ${name} = (typeof ${name})[number];`;
}

/** `converted` is false for a dictionary of the wire alone, which no program passes in. */
export function emitDictionary(dictionary: Dictionary, converted: boolean): string {
  const { name, members } = dictionary;
  return [
    `export interface ${name}<O> {`,
    ...members.map((member) => `  ${member.name}${optional(member) ? '?' : ''}: ${declare(member.type)};`),
    '}',
    ...(converted ? [emitConverter(name, members)] : []),
    ...(members.some(({ type }) => type.kind === 'image')
      ? []
      : [emitWriter(name, members), emitReader(name, members)]),
  ].join('\n');
}

/** Helpers of the unions met while everything else was emitted. */
export function emitUnions(): string {
  const done = new Map<string, string>();
  // A helper can name a further union, so go on until none is new.
  for (let known = -1; known !== unions.size; ) {
    known = unions.size;
    for (const [name, type] of [...unions]) if (!done.has(name)) done.set(name, unionHelpers(name, type));
  }
  return [...done.keys()]
    .sort()
    .map((name) => done.get(name))
    .join('\n\n');
}

const optional = (member: Member) => !member.required && member.default === undefined;

function emitConverter(name: string, members: Member[]): string {
  if (members.length === 0) {
    return `export function convert${name}(value: unknown): ${name}<Resource> {\n  toDictionary(value, '${name}');\n  return {};\n}`;
  }
  const lines = [`export function convert${name}(value: unknown): ${name}<Resource> {`];
  lines.push(`  const from = toDictionary(value, '${name}');`);
  for (const member of members) {
    const where = `'${name}.${member.name}'`;
    lines.push(`  const raw_${member.name} = from.${member.name};`);
    const converted = convert(member.type, `raw_${member.name}`, where);
    if (member.required) {
      lines.push(`  required(raw_${member.name}, ${where});`, `  const ${local(member)} = ${converted};`);
    } else {
      const fallback =
        member.default === '{}' ? defaultDictionary(member.type) : (member.default ?? 'undefined');
      lines.push(
        `  const ${local(member)} = raw_${member.name} === undefined ? ${fallback} : (${converted});`,
      );
    }
  }
  lines.push(...emitResult(name, 'Resource', members), '  return result;', '}');
  return lines.join('\n');
}

function defaultDictionary(type: Type): string {
  if (type.kind === 'record') return '{}';
  const dictionary = type.kind === 'union' ? type.of.find((part) => part.kind === 'dictionary') : type;
  if (dictionary?.kind !== 'dictionary')
    throw new Error('{} is the default of something else than a dictionary');
  return `convert${dictionary.name}(undefined)`;
}

const local = (member: Member) => `value_${member.name}`;

/**
 * One mask stands before all members. It has a bit for each member that may be absent. A member with its default value
 * counts as absent, since both sides know the default.
 */
function emitWriter(name: string, members: Member[]): string {
  const masked = members.filter(isMasked);
  if (masked.length > 31) throw new Error(`${name} has too many optional members for its mask`);
  const lines = [`export function write${name}(w: Writer, value: ${name}<Handle>): void {`];
  if (masked.length > 0) {
    const bits = masked.map((member, bit) => `(${presence(member)} ? ${2 ** bit} : 0)`);
    lines.push(`  const mask = ${bits.join(' | ')};`, '  w.u32(mask);');
  }
  for (const member of members) {
    const statement = write(member.type, `value.${member.name}`);
    if (!isMasked(member)) lines.push(`  ${statement}`);
    else lines.push(`  if (mask & ${2 ** masked.indexOf(member)}) { ${narrowed(member, statement)} }`);
  }
  lines.push('}');
  return lines.join('\n');
}

function presence(member: Member): string {
  const value = `value.${member.name}`;
  if (member.default === undefined) return `${value} !== undefined`;
  if (member.default === '[]') return `${value}.length > 0`;
  if (member.type.kind === 'record') return `Object.keys(${value}).length > 0`;
  return `${value} !== ${member.default}`;
}

/** TypeScript does not follow the mask, so an optional member is bound to a name of its own. */
function narrowed(member: Member, statement: string): string {
  if (member.default !== undefined) return statement;
  const type = `NonNullable<typeof value.${member.name}>`;
  return `const member = value.${member.name} as ${type}; ${statement.replaceAll(`value.${member.name}`, 'member')}`;
}

/** An absent member gets its default, if it has one: the read dictionary equals the converted one. */
function emitReader(name: string, members: Member[]): string {
  const masked = members.filter(isMasked);
  const lines = [
    `export function read${name}<O>(${members.length === 0 ? '_' : ''}r: Reader<O>): ${name}<O> {`,
  ];
  if (masked.length > 0) lines.push('  const mask = r.u32();');
  for (const member of members) {
    const expression = read(member.type);
    if (!isMasked(member)) {
      lines.push(`  const ${local(member)} = ${expression};`);
    } else {
      const bit = 2 ** masked.indexOf(member);
      lines.push(
        `  const ${local(member)} = mask & ${bit} ? ${expression} : ${member.default ?? 'undefined'};`,
      );
    }
  }
  lines.push(...emitResult(name, 'O', members), '  return result;', '}');
  return lines.join('\n');
}

function emitResult(name: string, object: string, members: Member[]): string[] {
  const always = members.filter((member) => !optional(member));
  return [
    `  const result: ${name}<${object}> = { ${always.map((m) => `${m.name}: ${local(m)}`).join(', ')} };`,
    ...members
      .filter(optional)
      .map((member) => `  if (${local(member)} !== undefined) result.${member.name} = ${local(member)};`),
  ];
}

/** A nested dictionary that defaults to an empty one is always written: its own mask is as short as a bit. */
export const isMasked = (member: Member) =>
  !member.required && !(member.default === '{}' && member.type.kind !== 'record');
