/** TypeScript text for one type: its declaration, its conversion, its writing and its reading. */
import type { Type } from './idl.js';

const quote = (text: string) => `'${text}'`;

/**
 * How long the sequence may be that stands for one of these dictionaries: the specification's "validate
 * GPUExtent3D shape" and the like, which throw a TypeError.
 */
const SHAPES: Readonly<Record<string, readonly [min: number, max: number]>> = {
  GPUColorDict: [4, 4],
  GPUOrigin2DDict: [0, 2],
  GPUOrigin3DDict: [0, 3],
  GPUExtent3DDict: [1, 3],
};

/** The unions met so far, by helper name: each gets one set of helper functions. */
export const unions = new Map<string, Extract<Type, { kind: 'union' }>>();

/** The type of a converted value; `O` stands for the type that an interface's object has on that side. */
export function declare(type: Type): string {
  switch (type.kind) {
    case 'undefined':
    case 'boolean':
      return type.kind;
    case 'bytes':
      return 'Uint8Array';
    case 'image':
      return 'ImagePixels';
    case 'float':
    case 'double':
    case 'integer':
      return 'number';
    case 'string':
      return 'string';
    case 'enum':
      return type.name;
    case 'interface':
      return 'O';
    case 'dictionary':
      return `${type.name}<O>`;
    case 'sequence':
      return /[ |]/.test(declare(type.of)) ? `(${declare(type.of)})[]` : `${declare(type.of)}[]`;
    case 'record':
      return `Record<string, ${declare(type.of)}>`;
    case 'nullable':
      return `${declare(type.of)} | null`;
    case 'union':
      return [...new Set(type.of.map(declare))].join(' | ');
  }
}

/** An expression that converts the JavaScript value `value`; `where` is an expression too. */
export function convert(type: Type, value: string, where: string): string {
  switch (type.kind) {
    case 'undefined':
      return 'undefined';
    case 'boolean':
      return `toBoolean(${value})`;
    case 'bytes':
      return `toBytes(${value}, ${where})`;
    case 'image':
      return `toImage(${value}, ${where})`;
    case 'float':
      return `toFloat(${value}, ${where})`;
    case 'double':
      return `toDouble(${value}, ${where})`;
    case 'integer':
      return convertInteger(type, value, where);
    case 'string':
      return `${type.unicode ? 'toUSVString' : 'toDOMString'}(${value}, ${where})`;
    case 'enum':
      return `toEnum(${value}, ${type.name}, ${quote(type.name)}, ${where})`;
    case 'interface':
      return `toInterface(${value}, ${quote(type.name)}, ${where})`;
    case 'dictionary':
      return `convert${type.name}(${value})`;
    case 'sequence':
      return `toSequence(${value}, (element) => ${convert(type.of, 'element', where)}, ${where})`;
    case 'record':
      return `toRecord(${value}, (key) => toUSVString(key, ${where}), (entry) => ${convert(type.of, 'entry', where)}, ${where})`;
    case 'nullable':
      return `${value} === null || ${value} === undefined ? null : ${convert(type.of, value, where)}`;
    case 'union':
      return `convert${unionName(type)}(${value}, ${where})`;
  }
}

function convertInteger(type: Extract<Type, { kind: 'integer' }>, value: string, where: string): string {
  const max =
    type.bits === 64 ? 'Number.MAX_SAFE_INTEGER' : String(2 ** (type.signed ? type.bits - 1 : type.bits) - 1);
  const min = type.signed ? String(-(2 ** (type.bits - 1))) : '0';
  const name = quote(
    `${type.signed ? '' : 'unsigned '}${{ 16: 'short', 32: 'long', 64: 'long long' }[type.bits]}`,
  );
  if (type.conversion === 'enforce') return `enforceRange(${value}, ${min}, ${max}, ${name}, ${where})`;
  if (type.conversion === 'clamp') return `clamp(${value}, ${min}, ${max}, ${where})`;
  if (type.bits !== 32 || type.signed) throw new Error(`No modulo conversion for ${name}`);
  return `toUnsignedLong(${value}, ${where})`;
}

/** A statement that writes the converted value `value` to `w`. */
export function write(type: Type, value: string): string {
  switch (type.kind) {
    case 'undefined':
      return '';
    case 'boolean':
      return `w.bool(${value});`;
    case 'bytes':
      return `w.bytes(${value});`;
    case 'image':
      throw new Error('An image does not cross the wire: give the operation a form in wire.idl');
    case 'float':
      return `w.f32(${value});`;
    case 'double':
      return `w.f64(${value});`;
    case 'integer':
      return `w.${type.signed ? 'i' : 'u'}${type.bits === 64 ? 64 : 32}(${value});`;
    case 'string':
      return `w.string(${value});`;
    case 'enum':
      return `w.u32(${type.name}.indexOf(${value}));`;
    case 'interface':
      return `w.handle(${value});`;
    case 'dictionary':
      return `write${type.name}(w, ${value});`;
    case 'sequence':
      return `w.u32(${value}.length); for (const element of ${value}) { ${write(type.of, 'element')} }`;
    case 'record':
      return (
        `w.u32(Object.keys(${value}).length); ` +
        `for (const [key, entry] of Object.entries(${value})) { w.string(key); ${write(type.of, 'entry')} }`
      );
    case 'nullable':
      return `if (${value} === null) w.u8(0); else { w.u8(1); ${write(type.of, value)} }`;
    case 'union':
      return `write${unionName(type)}(w, ${value});`;
  }
}

/** An expression that reads a value from `r`. */
export function read(type: Type): string {
  switch (type.kind) {
    case 'undefined':
      return 'undefined';
    case 'boolean':
      return 'r.bool()';
    case 'bytes':
      return 'r.bytes()';
    case 'image':
      throw new Error('An image does not cross the wire: give the operation a form in wire.idl');
    case 'float':
      return 'r.f32()';
    case 'double':
      return 'r.f64()';
    case 'integer':
      return `r.${type.signed ? 'i' : 'u'}${type.bits === 64 ? 64 : 32}()`;
    case 'string':
      return 'r.string()';
    case 'enum':
      return `(${type.name}[r.index(${type.name}.length)] as ${type.name})`;
    case 'interface':
      return `r.handle(${quote(type.name)})`;
    case 'dictionary':
      return `read${type.name}(r)`;
    case 'sequence':
      return `readSequence(r, () => ${read(type.of)})`;
    case 'record':
      return `readRecord(r, () => ${read(type.of)})`;
    case 'nullable':
      return `(r.bool() ? ${read(type.of)} : null)`;
    case 'union':
      return `read${unionName(type)}(r)`;
  }
}

export function unionName(type: Extract<Type, { kind: 'union' }>): string {
  const name = type.of.map(partName).join('Or');
  unions.set(name, type);
  return name;
}

function partName(type: Type): string {
  if ('name' in type) return type.name;
  if ('of' in type && !Array.isArray(type.of)) return `${capital(type.kind)}${partName(type.of as Type)}`;
  return capital(type.kind);
}

function capital(text: string): string {
  return text[0]?.toUpperCase() + text.slice(1);
}

/**
 * The three helpers of one union. The alternatives are told apart as WebIDL does: undefined, then
 * wrappers by their interface, sequences by @@iterator, other objects as the dictionary, and last the
 * string or number. On the wire a tag comes first.
 */
export function unionHelpers(name: string, type: Extract<Type, { kind: 'union' }>): string {
  const parts = inOrder(type.of);
  const interfaces = parts.flatMap((part) => (part.kind === 'interface' ? [part.name] : []));
  const others = parts.filter((part) => part.kind !== 'interface');
  const declared = declare(type);
  const kinds = `[${interfaces.map(quote).join(', ')}]`;
  const lines: string[] = [];

  lines.push(
    `function convert${name}(value: unknown, where: string): ${declared.replace(/\bO\b/g, 'Resource')} {`,
  );
  if (interfaces.length > 0) {
    lines.push(`  const resource = resourceOf(value);`);
    lines.push(`  if (resource !== undefined && ${kinds}.includes(resource.kind)) return resource;`);
  }
  const dictionary = others.find((part) => part.kind === 'dictionary');
  if (others.some((part) => part.kind === 'undefined'))
    lines.push('  if (value === undefined) return undefined;');
  const sequence = others.find((part) => part.kind === 'sequence');
  const shape = SHAPES[dictionary && 'name' in dictionary ? dictionary.name : ''];
  if (sequence) {
    // The method was read to tell the sequence from the dictionary, and is not read again.
    const converted = convert(sequence, 'value', 'where').replace(/\)$/, ', method)');
    const checked = shape ? `toShape(${converted}, ${shape.join(', ')}, where)` : converted;
    lines.push('  const method = iteratorMethod(value, where);', `  if (method) return ${checked};`);
  }
  const last = others.find((part) => !['undefined', 'sequence', 'dictionary'].includes(part.kind));
  if (dictionary && !last) {
    lines.push(
      `  if (value === undefined || value === null || isObject(value)) return ${convert(dictionary, 'value', 'where')};`,
    );
  }
  if (last) lines.push(`  return ${convert(last, 'value', 'where')};`);
  else lines.push(`  throw new TypeError(\`\${where}: \${describe(value)} is not ${expected(parts)}\`);`);
  lines.push('}');

  lines.push(`function write${name}(w: Writer, value: ${declared.replace(/\bO\b/g, 'Handle')}): void {`);
  let tag = 0;
  const readers: string[] = [];
  if (interfaces.length > 0) {
    lines.push(`  if (value instanceof Handle) { w.u8(${tag}); w.handle(value); return; }`);
    readers.push(`r.handleOfAny(${kinds})`);
    tag += 1;
  }
  for (const [index, part] of others.entries()) {
    const test = index === others.length - 1 ? '' : `if (${typeTest(part)}) `;
    lines.push(`  ${test}{ w.u8(${tag}); ${write(part, 'value')} return; }`);
    readers.push(read(part));
    tag += 1;
  }
  lines.push('}');

  lines.push(`function read${name}<O>(r: Reader<O>): ${declared} {`);
  lines.push(`  switch (r.index(${tag})) {`);
  readers.forEach((reader, index) => {
    lines.push(index === tag - 1 ? '    default:' : `    case ${index}:`);
    lines.push(`      return ${reader};`);
  });
  lines.push('  }', '}');
  return lines.join('\n');
}

/** The alternatives of a union in the order of their tags; its interfaces come first, and share one. */
export function inOrder(alternatives: readonly Type[]): Type[] {
  return [...alternatives].sort((a, b) => rank(a) - rank(b));
}

function rank(type: Type): number {
  return ['interface', 'undefined', 'sequence', 'dictionary', 'enum', 'integer'].indexOf(type.kind);
}

function expected(parts: Type[]): string {
  return parts.map((part) => ('name' in part ? part.name : part.kind)).join(' or ');
}

function typeTest(type: Type): string {
  switch (type.kind) {
    case 'undefined':
      return 'value === undefined';
    case 'sequence':
      return 'Array.isArray(value)';
    default:
      throw new Error(`A union's ${type.kind} must come last`);
  }
}
