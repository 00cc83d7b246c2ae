/** Reads WebIDL texts into the few things that the generator needs of them. */
import * as webidl2 from 'webidl2';

export type Type =
  | { kind: 'undefined' | 'boolean' | 'bytes' | 'float' | 'double' }
  /** The pixels of an ImageData: converted on the client, and never on the wire. */
  | { kind: 'image' }
  | { kind: 'string'; unicode: boolean }
  | { kind: 'integer'; bits: 16 | 32 | 64; signed: boolean; conversion: 'enforce' | 'clamp' | 'modulo' }
  | { kind: 'enum' | 'interface' | 'dictionary'; name: string }
  | { kind: 'sequence' | 'record' | 'nullable'; of: Type }
  | { kind: 'union'; of: Type[] };

export interface Member {
  name: string;
  type: Type;
  required: boolean;
  /** A JavaScript expression, where the IDL gives a default. */
  default?: string;
}

export interface Dictionary {
  name: string;
  /** In the order of conversion: inherited members first, each group in lexicographic order. */
  members: Member[];
}

export interface Argument extends Member {
  optional: boolean;
}

export interface Operation {
  name: string;
  /** More than one where the operation is overloaded. */
  overloads: Argument[][];
  returns: Type;
}

export interface Idl {
  dictionaries: Map<string, Dictionary>;
  enums: Map<string, string[]>;
  /** Own operations and those of included mixins, by interface. */
  operations: Map<string, Map<string, Operation>>;
  /** Attributes likewise, by interface. */
  attributes: Map<string, string[]>;
  namespaces: Map<string, Record<string, number>>;
}

const INTEGERS: Record<string, { bits: 16 | 32 | 64; signed: boolean }> = {
  'unsigned short': { bits: 16, signed: false },
  'unsigned long': { bits: 32, signed: false },
  long: { bits: 32, signed: true },
  'unsigned long long': { bits: 64, signed: false },
};
const BYTES = new Set(['ArrayBuffer', 'AllowSharedBufferSource', 'Uint32Array']);
/** Types whose values only a page has: there is no conversion to them, and nothing could be converted. */
const FOREIGN = new Set([
  'HTMLVideoElement',
  'HTMLImageElement',
  'HTMLCanvasElement',
  'VideoFrame',
  'ImageBitmap',
  'OffscreenCanvas',
  'EventHandler',
]);

/** The definitions of an IDL text. */
export type Definitions = webidl2.IDLRootType[];

export function definitions(text: string): Definitions {
  return webidl2.parse(text);
}

/** Collects the definitions of `roots`. The names that they use are looked up in `scope`, which contains them too. */
export function collect(roots: Definitions, scope: Definitions): Idl {
  const typedefs = new Map<string, webidl2.IDLTypeDescription>();
  const named = new Map<string, string>();
  for (const root of scope) {
    if (root.type === 'typedef') typedefs.set(root.name, root.idlType);
    else if ('name' in root && root.name) named.set(root.name, root.type);
  }

  const idl: Idl = {
    dictionaries: new Map(),
    enums: new Map(),
    operations: new Map(),
    attributes: new Map(),
    namespaces: new Map(),
  };
  const rawDictionaries = new Map<string, webidl2.DictionaryType>();
  const mixins = new Map<string, webidl2.IDLInterfaceMemberType[]>();
  const includes: [string, string][] = [];

  for (const root of roots) {
    if (root.type === 'enum') {
      idl.enums.set(
        root.name,
        root.values.map((value) => value.value),
      );
    } else if (root.type === 'dictionary') {
      rawDictionaries.set(root.name, root);
    } else if (root.type === 'includes') {
      includes.push([root.target, root.includes]);
    } else if (root.type === 'interface mixin') {
      mixins.set(root.name, [
        ...(mixins.get(root.name) ?? []),
        ...(root.members as webidl2.IDLInterfaceMemberType[]),
      ]);
    } else if (root.type === 'interface') {
      addMembers(root.name, root.members);
    } else if (root.type === 'namespace') {
      const constants: Record<string, number> = {};
      for (const member of root.members) {
        if (member.type === 'const')
          constants[member.name] = Number((member.value as { value: string }).value);
      }
      idl.namespaces.set(root.name, constants);
    }
  }
  for (const [target, mixin] of includes) addMembers(target, mixins.get(mixin) ?? []);
  for (const name of rawDictionaries.keys()) {
    const members = dictionaryMembers(name);
    if (members.every((member) => !isForeign(member.type))) idl.dictionaries.set(name, { name, members });
  }
  return idl;

  function addMembers(name: string, members: readonly webidl2.IDLInterfaceMemberType[]): void {
    const operations = idl.operations.get(name) ?? new Map<string, Operation>();
    const attributes = idl.attributes.get(name) ?? [];
    idl.operations.set(name, operations);
    idl.attributes.set(name, attributes);
    for (const member of members) {
      if (member.type === 'attribute') attributes.push(member.name);
      if (member.type !== 'operation' || !member.name || !member.idlType) continue;
      const args = member.arguments.map(
        (argument): Argument => ({
          name: argument.name,
          type: resolve(argument.idlType, argument.extAttrs),
          required: !argument.optional,
          optional: argument.optional,
          ...defaultOf(argument.default),
        }),
      );
      const known = operations.get(member.name);
      if (known) known.overloads.push(args);
      else
        operations.set(member.name, {
          name: member.name,
          overloads: [args],
          returns: resolve(member.idlType),
        });
    }
  }

  function dictionaryMembers(name: string): Member[] {
    const raw = rawDictionaries.get(name);
    if (!raw) return [];
    const own = raw.members
      .map(
        (field): Member => ({
          name: field.name,
          type: resolve(field.idlType, field.extAttrs),
          required: field.required,
          ...defaultOf(field.default),
        }),
      )
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    return [...(raw.inheritance ? dictionaryMembers(raw.inheritance) : []), ...own];
  }

  /** `outer` are the extended attributes of the member or argument; some of them mean its type. */
  function resolve(
    description: webidl2.IDLTypeDescription,
    outer: readonly webidl2.ExtendedAttribute[] = [],
  ): Type {
    const type = resolveNonNull(description, outer);
    return description.nullable ? { kind: 'nullable', of: type } : type;
  }

  function resolveNonNull(
    description: webidl2.IDLTypeDescription,
    outer: readonly webidl2.ExtendedAttribute[],
  ): Type {
    if (description.union) {
      const all = (description.idlType as webidl2.IDLTypeDescription[]).map((each) => resolve(each));
      // An alternative that no value can be is as good as absent, unless there is no other.
      const possible = all.filter((each) => !isForeign(each));
      const [first = all[0]] = possible;
      if (possible.length === 1 && first && all.length > 1) return first;
      return { kind: 'union', of: possible.length > 0 ? possible : all };
    }
    if (description.generic) {
      const parameters = description.idlType as webidl2.IDLTypeDescription[];
      const last = parameters[parameters.length - 1];
      if (!last) throw new Error(`${description.generic} without a parameter`);
      if (description.generic === 'Promise') return resolve(last);
      return { kind: description.generic === 'record' ? 'record' : 'sequence', of: resolve(last) };
    }
    const name = description.idlType as string;
    const typedef = typedefs.get(name);
    if (typedef) return resolve(typedef);
    const integer = INTEGERS[name];
    if (integer) {
      const has = (attribute: string) =>
        [...description.extAttrs, ...outer].some(({ name }) => name === attribute);
      return {
        kind: 'integer',
        ...integer,
        conversion: has('EnforceRange') ? 'enforce' : has('Clamp') ? 'clamp' : 'modulo',
      };
    }
    if (name === 'undefined' || name === 'boolean' || name === 'double' || name === 'float')
      return { kind: name };
    if (name === 'DOMString' || name === 'USVString')
      return { kind: 'string', unicode: name === 'USVString' };
    if (BYTES.has(name)) return { kind: 'bytes' };
    if (name === 'ImageData') return { kind: 'image' };
    const type = named.get(name);
    if (type === 'enum' || type === 'interface' || type === 'dictionary') return { kind: type, name };
    if (FOREIGN.has(name)) return { kind: 'interface', name };
    throw new Error(`The generator does not know the type ${name}`);
  }
}

export function isForeign(type: Type): boolean {
  if (type.kind === 'union') return type.of.some(isForeign);
  if (type.kind === 'sequence' || type.kind === 'record' || type.kind === 'nullable')
    return isForeign(type.of);
  return type.kind === 'interface' && FOREIGN.has(type.name);
}

function defaultOf(value: webidl2.ValueDescription | null): { default?: string } {
  if (!value) return {};
  switch (value.type) {
    case 'string':
      return { default: JSON.stringify(value.value) };
    case 'number':
      return { default: String(Number(value.value)) };
    case 'boolean':
      return { default: String(value.value) };
    case 'sequence':
      return { default: '[]' };
    case 'dictionary':
      return { default: '{}' };
    default:
      throw new Error(`The generator does not know the default ${value.type}`);
  }
}
