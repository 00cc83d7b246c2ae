/**
 * The jobs that a template or an image is for: the sets of frameworks, kinds of job and types of tasks that it names. A
 * set that is absent holds everything.
 */
export interface Scope {
  /** Frameworks by name, `tensorflow.js`, or some of their versions, `tensorflow.js@4.22`. */
  readonly framework?: readonly string[];
  readonly kind?: readonly string[];
  readonly task?: readonly string[];
}

/** The facts of a request that a scope is compared with. */
export interface Wanted {
  /** `tensorflow.js@4.22.0`, or the name alone; absent where the request names none. */
  readonly framework?: string | undefined;
  readonly kind: string;
  readonly task?: string;
}

const WORDS = {
  framework: 'the framework',
  kind: 'the kind of job',
  task: 'the task',
} as const satisfies Record<keyof Scope, string>;
const PARTS = Object.keys(WORDS) as (keyof Scope)[];

/**
 * How a scope fits a request: how exactly each of its sets names what the request has, or why the request is outside. An
 * absent set is the least exact, a version is more exact than its framework alone.
 */
export function fitOf(
  scope: Scope,
  wanted: Wanted,
): { exactness: readonly number[]; why?: undefined } | { why: string } {
  const exactness: number[] = [];
  for (const part of PARTS) {
    const set = scope[part];
    const value = wanted[part];
    const depths = set?.flatMap((member) => (value === undefined ? [] : depthOf(member, value))) ?? [0];
    if (depths.length === 0)
      return {
        why: `it is for ${WORDS[part]} ${set?.join(' or ')}, and the request names ${value ?? 'none'}`,
      };
    exactness.push(Math.max(...depths));
  }
  return { exactness };
}

/** Whether one fit is more exact than another in some set, and less in none. */
export function isMoreExact(a: readonly number[], b: readonly number[]): boolean {
  return a.every((depth, at) => depth >= (b[at] ?? 0)) && a.some((depth, at) => depth > (b[at] ?? 0));
}

/** A scope as a person reads it. */
export function scopeText(scope: Scope): string {
  const named = PARTS.flatMap((part) => (scope[part] ? [`${part} ${scope[part].join(' or ')}`] : []));
  return named.join(', ') || 'everything';
}

/** How many parts of a value a member of a set names; none where it is another name or version. */
function depthOf(member: string, value: string): number[] {
  const [name, version] = split(member);
  const [valueName, valueVersion] = split(value);
  const isSame = name === valueName && version.every((part, at) => part === valueVersion[at]);
  return isSame ? [1 + version.length] : [];
}

function split(text: string): [name: string, version: string[]] {
  const [name = '', version] = text.split('@');
  return [name, version === undefined ? [] : version.split('.')];
}
