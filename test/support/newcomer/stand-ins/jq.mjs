#!/usr/bin/env node
// The part of jq that the documentation uses, for machines without jq: `select` with comparisons, arrays of fields, and
// the options -R, -c and -r. Tests prefer a real jq.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { fail } from './stand-in.mjs';

const options = Object.fromEntries([...'Rcr'].map((short) => [short, { type: 'boolean', short }]));
const { values, positionals } = parseArgs({ options, allowPositionals: true, strict: true });
if (positionals.length !== 1) fail(2, 'usage: jq [-R] [-c] [-r] FILTER');

/** Each stage of a filter turns one value into the values for the next stage. */
const stages = splitAt(positionals[0], '|').map(stageOf);
const text = readFileSync(0, 'utf8');
const inputs = text
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => (values.R ? line : parse(line)));
for (const input of inputs) {
  for (const output of stages.reduce((all, stage) => all.flatMap(stage), [input])) {
    const plain = values.r && typeof output === 'string';
    process.stdout.write(`${plain ? output : JSON.stringify(output, undefined, values.c ? 0 : 2)}\n`);
  }
}

function parse(line) {
  try {
    return JSON.parse(line);
  } catch {
    return fail(2, `jq: error: Invalid numeric literal in ${line}`);
  }
}

function stageOf(stage) {
  if (stage === 'fromjson?') {
    return (line) => {
      try {
        return [JSON.parse(line)];
      } catch {
        return [];
      }
    };
  }
  const [, condition] = /^select\((.*)\)$/.exec(stage) ?? [];
  if (condition !== undefined) {
    const terms = condition.split(' and ').map(termOf);
    return (value) => (terms.every((holds) => holds(value)) ? [value] : []);
  }
  const [, elements] = /^\[(.*)\]$/.exec(stage) ?? [];
  const fields = (elements ?? stage).split(',').map((each) => fieldOf(each.trim()));
  return (value) =>
    elements === undefined ? fields.map((of) => of(value)) : [fields.map((of) => of(value))];
}

function termOf(term) {
  const [, left, operator, right] =
    /^(\S+) (==|!=) (.+)$/.exec(term.trim()) ?? fail(3, `jq: cannot read ${term}`);
  const field = fieldOf(left);
  const wanted = JSON.parse(right);
  return (value) => (field(value) === wanted) === (operator === '==');
}

function fieldOf(path) {
  const [, name] = /^\.(\w+)$/.exec(path) ?? fail(3, `jq: this stand-in cannot read ${path}`);
  return (value) =>
    typeof value === 'object' ? (value?.[name] ?? null) : fail(5, 'jq: cannot index a string');
}

/** Splits a text at the separators that are outside of parentheses and strings. */
function splitAt(filter, separator) {
  return filter.split(new RegExp(`\\${separator}(?=(?:[^"]*"[^"]*")*[^"]*$)`)).map((part) => part.trim());
}
