/** Emits the operation table: for each row of the surface its converter, writer and reader. */
import { type Row, SURFACE } from '../surface.js';
import { type Used, use } from './dictionaries.js';
import { type Argument, type Idl, isForeign, type Operation } from './idl.js';
import { convert, declare, read, write } from './types.js';

export interface Emitted {
  types: string;
  table: string;
}

/** Emits every row, and adds the enums and dictionaries that rows need to `used`. */
export function emitOperations(api: Idl, wire: Idl, dictionaries: Idl['dictionaries'], used: Used): Emitted {
  const types: string[] = [];
  const interfaces: string[] = [];
  let opcode = 0;
  for (const [name, rows] of Object.entries(SURFACE)) {
    const entries: string[] = [];
    for (const [member, row] of Object.entries(rows)) {
      const asApi = api.operations.get(name)?.get(member);
      const asWire = wire.operations.get(name)?.get(member) ?? asApi;
      if (!asWire) throw new Error(`${name}.${member} is a row of the surface, but in neither IDL`);
      entries.push(emitOperation(name, member, row, asApi, asWire, row.fate === 'local' ? -1 : opcode++));
      types.push(...emitTypes(name, member, row, asApi, asWire));
    }
    interfaces.push(`  ${name}: {\n${entries.join('\n')}\n  },`);
  }
  if (opcode > 256) throw new Error(`${opcode} operations do not fit an opcode of one byte`);
  return { types: types.join('\n'), table: `export const OPERATIONS = {\n${interfaces.join('\n')}\n};` };

  function emitOperation(
    name: string,
    member: string,
    row: Row,
    asApi: Operation | undefined,
    asWire: Operation,
    code: number,
  ): string {
    const type = `${name}_${member}`;
    const wireArgs = only(asWire, `${name}.${member}`);
    const hasConverter = canConvert(asApi);
    const remote = row.fate !== 'local';
    if (row.regular && (!hasConverter || asWire !== asApi)) {
      throw new Error(`${name}.${member} cannot be regular: its wire form is not its API form`);
    }
    for (const arg of hasConverter ? (asApi.overloads[0] ?? []) : []) use(dictionaries, used, arg.type);
    if (remote) for (const arg of wireArgs) use(dictionaries, used, arg.type);
    if (row.fate === 'awaited') use(dictionaries, used, asWire.returns);
    const reply = row.fate === 'awaited' ? declare(asWire.returns).replace(/\bO\b/g, 'never') : 'undefined';
    const apiType = hasConverter ? `${type}Api<Resource>` : 'never';
    const length = asApi
      ? Math.min(...asApi.overloads.map((args) => args.filter((arg) => !arg.optional).length))
      : 0;
    const lines = [
      `    ${member}: operation<${apiType}, ${type}<Handle>, ${type}<unknown>, ${reply}>({`,
      `      interface: '${name}', member: '${member}', fate: '${row.fate}', opcode: ${code},`,
      `      creates: ${row.creates ? `'${row.creates}'` : 'undefined'}, regular: ${row.regular}, length: ${length},`,
    ];
    if (hasConverter)
      lines.push(...emitConvert(name, member, asApi.overloads[0] ?? [], `${type}Api<Resource>`));
    lines.push(
      `      write(${remote && wireArgs.length > 0 ? `w, [${wireArgs.map((arg) => arg.name).join(', ')}]` : ''}) {${remote ? wireArgs.map((arg) => `\n        ${writeArgument(arg)}`).join('') : ''}`,
      '      },',
      `      read(${remote && wireArgs.length > 0 ? 'r' : ''}) {`,
      `        return [${remote ? wireArgs.map(readArgument).join(', ') : ''}] as ${type}<never>;`,
      '      },',
    );
    const answers = row.fate === 'awaited' && asWire.returns.kind !== 'undefined';
    lines.push(
      answers
        ? `      writeReply(w, reply) { ${write(asWire.returns, 'reply')} },`
        : '      writeReply() {},',
      answers
        ? `      readReply(r) { return ${read(asWire.returns)}; },`
        : '      readReply() { return undefined; },',
      '    }),',
    );
    return lines.join('\n');
  }

  /** Overloads are told apart by hand, and values that only a page has cannot be converted. */
  function canConvert(operation: Operation | undefined): operation is Operation {
    const [args, ...more] = operation?.overloads ?? [];
    if (!args || more.length > 0) return false;
    return args.every(
      ({ type }) => !isForeign(type) && (type.kind !== 'dictionary' || dictionaries.has(type.name)),
    );
  }

  function emitTypes(
    name: string,
    member: string,
    row: Row,
    asApi: Operation | undefined,
    asWire: Operation,
  ): string[] {
    const result = [tuple(`${name}_${member}`, row.fate === 'local' ? [] : only(asWire, name))];
    if (canConvert(asApi)) result.push(tuple(`${name}_${member}Api`, asApi.overloads[0] ?? []));
    return result;
  }
}

/** Every operation of the API that has no row: it is missing. */
export function missingRows(api: Idl): string[] {
  const missing: string[] = [];
  for (const [name, operations] of api.operations) {
    for (const [member, operation] of operations) {
      const foreign = operation.overloads.flat().some((arg) => isForeign(arg.type));
      if (!SURFACE[name]?.[member])
        missing.push(`${name}.${member}${foreign ? ' (takes what only a page has)' : ''}`);
    }
  }
  return missing;
}

function only(operation: Operation, name: string): Argument[] {
  const [first, second] = operation.overloads;
  if (!first || second) throw new Error(`${name} is overloaded: give it one form in wire.idl`);
  return first;
}

function tuple(name: string, args: Argument[]): string {
  const parts = args.map(
    (arg) => `${arg.name}: ${declare(arg.type)}${mayBeAbsent(arg) ? ' | undefined' : ''}`,
  );
  return `export type ${name}<O> = [${parts.join(', ')}];`;
}

const mayBeAbsent = (arg: Argument) => arg.optional && arg.default === undefined;

function emitConvert(name: string, member: string, args: Argument[], type: string): string[] {
  const needed = args.filter((arg) => !arg.optional).length;
  const where = `${name}.${member}`;
  const lines = [`      convert(${args.length > 0 ? 'args' : ''}): ${type} {`];
  if (needed > 0) lines.push(`        requireArguments(args.length, ${needed}, '${where}');`);
  const values = args.map((arg, index) => {
    const converted = convert(arg.type, `args[${index}]`, `'${where}: ${arg.name}'`);
    // An absent dictionary converts like an empty one, so it needs no default of its own.
    if (!arg.optional || arg.type.kind === 'dictionary') return `          ${converted},`;
    return `          args[${index}] === undefined ? ${arg.default ?? 'undefined'} : (${converted}),`;
  });
  lines.push(
    values.length > 0 ? `        return [\n${values.join('\n')}\n        ];` : '        return [];',
    '      },',
  );
  return lines;
}

function writeArgument(arg: Argument): string {
  if (!mayBeAbsent(arg)) return write(arg.type, arg.name);
  return `if (${arg.name} === undefined) w.u8(0); else { w.u8(1); ${write(arg.type, arg.name)} }`;
}

function readArgument(arg: Argument): string {
  return mayBeAbsent(arg) ? `(r.bool() ? ${read(arg.type)} : undefined)` : read(arg.type);
}
