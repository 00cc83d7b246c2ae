import { fitOf, isMoreExact, type Scope, type Wanted } from './scope.js';

/** A template or an image that a request may get. */
export interface Candidate {
  /** Unique among the candidates. */
  readonly name: string;
  readonly scope: Scope;
  /** It comes with Farlight. A site's own that fits as exactly goes before it. */
  readonly isBuiltIn: boolean;
}

export interface Lost<C> {
  readonly candidate: C;
  readonly why: string;
}

/** The candidate that a request gets, or why it gets none: none fits, or several fit equally well (`tied`). */
export interface Selection<C> {
  readonly chosen: C | undefined;
  readonly tied: readonly C[];
  readonly lost: readonly Lost<C>[];
}

/**
 * Selects the candidate whose scope fits a request most exactly. It does not depend on the order of the candidates.
 *
 * @param refuse says why a candidate is no choice for another reason.
 */
export function select<C extends Candidate>(
  candidates: readonly C[],
  wanted: Wanted,
  refuse: (candidate: C) => string | undefined = () => undefined,
): Selection<C> {
  const lost: Lost<C>[] = [];
  const fitting: Fitting<C>[] = [];
  for (const candidate of candidates) {
    const fit = fitOf(candidate.scope, wanted);
    const why = fit.why ?? refuse(candidate);
    if (why !== undefined) lost.push({ candidate, why });
    else if ('exactness' in fit) fitting.push({ candidate, exactness: fit.exactness });
  }
  const best: C[] = [];
  for (const each of fitting) {
    const whys = fitting.flatMap((other) => whyBefore(other, each) ?? []);
    if (whys[0] === undefined) best.push(each.candidate);
    else lost.push({ candidate: each.candidate, why: whys[0] });
  }
  const isTied = best.length > 1;
  return { chosen: isTied ? undefined : best[0], tied: isTied ? best : [], lost };
}

interface Fitting<C> {
  readonly candidate: C;
  readonly exactness: readonly number[];
}

/** Why the first goes before the second; undefined where it does not. */
function whyBefore(a: Fitting<Candidate>, b: Fitting<Candidate>): string | undefined {
  const { name, isBuiltIn } = a.candidate;
  if (isMoreExact(a.exactness, b.exactness)) return `${name} is more specific`;
  const isEqual = a.exactness.every((depth, at) => depth === b.exactness[at]);
  if (isEqual && b.candidate.isBuiltIn && !isBuiltIn) return `${name} is as specific, and the site's own`;
  return undefined;
}
