/**
 * What the conformance specs import of Vitest, where they run in a runtime that Vitest does not run in: collects the
 * specs of a bundle and runs them one after the other. Each prints one line of JSON.
 */
import { JestAsymmetricMatchers, JestChaiExpect, JestExtend } from '@vitest/expect';
import * as chai from 'chai';
import type { SpecResult } from '../spec-runs.js';

type Body = (context: { skip(why: string): never }) => unknown;

class Skipped extends Error {}

const specs: { name: string; body: Body }[] = [];
const endings: (() => unknown)[] = [];
const groups: string[] = [];
let seen: unknown;

for (const plugin of [JestExtend, JestChaiExpect, JestAsymmetricMatchers]) chai.use(plugin as never);
export const { expect } = chai;

export function describe(name: string, body: () => void): void {
  groups.push(name);
  body();
  groups.pop();
}

export function test(name: string, body: Body): void {
  specs.push({ name: [...groups, name].join(' > '), body });
}

export function afterAll(end: () => unknown): void {
  endings.push(end);
}

/** Keeps what the spec that runs has observed. */
export function observed(what: unknown): void {
  seen = what;
}

/** Runs all specs that were collected. The process ends by itself afterwards, as a program's does. */
export async function runSpecs(): Promise<void> {
  for (const { name, body } of specs) {
    seen = undefined;
    const result: SpecResult = { name };
    const skip = (why: string): never => {
      throw new Skipped(why);
    };
    try {
      await body({ skip });
    } catch (error) {
      if (error instanceof Skipped) result.skipped = error.message;
      else result.failure = error instanceof Error ? `${error.stack ?? error}` : String(error);
    }
    console.log(JSON.stringify({ ...result, seen: JSON.stringify(seen, plain) }));
  }
  for (const end of endings) await end();
}

/** What JSON would leave out, or write like something else. */
function plain(_: string, value: unknown): unknown {
  if (value === undefined || typeof value === 'bigint' || typeof value === 'symbol')
    return `[${String(value)}]`;
  if (typeof value === 'number' && !Number.isFinite(value)) return `[${value}]`;
  if (value instanceof Error) return `[${value.name}: ${value.message}]`;
  if (ArrayBuffer.isView(value)) return [...(value as Uint8Array)];
  return value;
}
