import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { type CheckedRequest, parseRequest } from '#farlight/jobs/request/request-file.js';
import { planJob, renderPlan } from '#farlight/jobs/run/plan.js';
import { parseTemplate } from '#farlight/jobs/templates/template-file.js';
import { titleOf } from '#farlight/jobs/templates/template-store.js';
import type { Problem } from '#farlight/link/files/checked-file.js';
import { readPool } from '#farlight/pool/definition/pool-file.js';
import { FarlightError } from '#farlight/proto/errors.js';
import { hostileText, REQUEST, TEMPLATE } from '../support/jobs/hostile.js';

/** Both kinds of files together; `npm run fuzz` says more. */
const runs = Number(process.env.FARLIGHT_FUZZ_RUNS ?? 1500);
const seed = process.env.FARLIGHT_FUZZ_SEED ? Number(process.env.FARLIGHT_FUZZ_SEED) : undefined;
const options = (share: number) => ({
  numRuns: Math.ceil(runs * share),
  ...(seed !== undefined && { seed }),
});
const MINUTES = 30 * 60_000;

/** A text with a few places replaced. */
function changed(text: string): fc.Arbitrary<string> {
  const place = fc.record({ at: fc.nat(text.length), drop: fc.nat(12), put: hostileText });
  return fc
    .array(place, { minLength: 1, maxLength: 3 })
    .map((places) =>
      places.reduce((so, { at, drop, put }) => so.slice(0, at) + put + so.slice(at + drop), text),
    );
}

function checkPlaces(problems: readonly Problem[], text: string): void {
  expect(problems.length).toBeGreaterThan(0);
  const lines = text.split('\n').length;
  for (const { line = 0, column = 0, message } of problems) {
    expect(line, message).toBeGreaterThanOrEqual(1);
    expect(line, message).toBeLessThanOrEqual(lines);
    expect(column, message).toBeGreaterThanOrEqual(1);
  }
}

describe('files of jobs that anybody may have written', () => {
  const { template } = parseTemplate('template.yaml', TEMPLATE);
  if (!template) throw new Error('the template is broken');
  const stored = { name: titleOf(template), scope: {}, template, isBuiltIn: false, deprecated: undefined };
  const pool = readPool('pool://local');

  it(
    'a template is read, or refused with a line and a column',
    () => {
      fc.assert(
        fc.property(changed(TEMPLATE), (text) => {
          const { template: read, problems } = parseTemplate('template.yaml', text);
          if (!read) checkPlaces(problems, text);
        }),
        options(0.2),
      );
    },
    MINUTES,
  );

  /** Checks that the values of a request are in its jobs where the template has them, and nothing else of it. */
  function checkPlanned(parsed: CheckedRequest): void {
    const plan = planJob(parsed, pool, { templates: [stored], images: [] });
    const { request } = plan.parts;
    const own = `--text=${request.parameters.text}`;
    const added = [
      'FARLIGHT_HOST',
      'FARLIGHT_JOB',
      'FARLIGHT_TASK',
      'TEXT',
      ...Object.keys(request.environment),
    ];
    const known = new Set([...added, ...Object.keys(process.env)]);
    for (const { command, environment } of renderPlan(plan, 'fuzzed-1', '/jobs/fuzzed-1')) {
      expect(command).toEqual(['run', own, 'literal ${x}', ...request.arguments, 'end']);
      expect(environment).toMatchObject({ TEXT: `<${request.parameters.text}>`, ...request.environment });
      expect(Object.keys(environment).filter((name) => !known.has(name))).toEqual([]);
    }
  }

  it(
    'the values of a request, whatever is in them, are in its commands as they were written',
    () => {
      const values = fc.record({
        kind: fc.constant('training'),
        template: fc.constant('every-place'),
        arguments: fc.array(hostileText, { maxLength: 4 }),
        parameters: fc.record({ text: hostileText, list: fc.array(hostileText, { maxLength: 3 }) }),
        environment: fc.dictionary(fc.stringMatching(/^[A-Z_]{1,8}$/), hostileText, { maxKeys: 3 }),
      });
      const written = fc.constantFrom(
        // The package's block texts lose a blank before a line break.
        (value: unknown) => stringify(value, { defaultStringType: 'QUOTE_DOUBLE' }),
        JSON.stringify,
      );
      fc.assert(
        fc.property(values, written, (value, write) => {
          const { parsed, problems } = parseRequest('request.yaml', write(value));
          expect(problems).toEqual([]);
          expect(parsed?.request).toMatchObject({ arguments: value.arguments, parameters: value.parameters });
          if (parsed) checkPlanned(parsed);
        }),
        options(0.4),
      );
    },
    MINUTES,
  );

  it(
    'a request that was changed anywhere is planned, or refused with a line and a column',
    () => {
      fc.assert(
        fc.property(changed(REQUEST), (text) => {
          const { parsed, problems } = parseRequest('request.yaml', text);
          if (!parsed) {
            checkPlaces(problems, text);
            return;
          }
          try {
            checkPlanned(parsed);
          } catch (error) {
            if (!(error instanceof FarlightError)) throw error;
            // Only a name that nobody has is told without a place.
            if (!/^there is no template /.test(error.message))
              expect(error.message).toMatch(/request\.yaml:\d+:\d+: /);
          }
        }),
        options(0.4),
      );
    },
    MINUTES,
  );
});
