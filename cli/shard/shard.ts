import { readFileSync, writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { FarlightError } from '../../proto/errors.js';
import type { PlanOptions } from '../../shard/index.js';
import type { Placement } from '../../shard/layout/descriptor.js';
import { parseSize, wholeNumber } from '../options/units.js';
import { styleOf } from '../style.js';

const count = wholeNumber(1, 999_999_999);
const USUAL_LINE = { mbit: 1000, rtt: 1 };

interface Options {
  hosts: number;
  memory?: number;
  link: { mbit: number; rtt: number };
  gops: number;
  mesh?: number[];
  route: 'direct' | 'client';
  layers?: boolean;
  dim?: [string, number][];
  input?: [string, number[]][];
  in?: [string, Placement[]][];
  out?: [string, Placement[]][];
  explain?: string;
  svg?: string;
  json?: boolean;
}

export function shardCommand(): Command {
  const command = new Command('shard').description('Lay one model over several hosts.');
  command
    .command('plan <model>')
    .description(
      'Say how an ONNX model would run over several hosts, which bytes would move, and whether it pays.',
    )
    .requiredOption('--hosts <count>', 'how many hosts there are', count)
    .option('--memory <size>', 'bytes of weights that each host may hold', parseSize)
    .addOption(
      new Option('--link <link>', 'the line between hosts, and to the client: rtt=MS,mbit=MBIT')
        .argParser(line)
        .default(USUAL_LINE, 'rtt=1,mbit=1000'),
    )
    .option('--gops <count>', 'billions of operations that a host does in a second', count, 1000)
    .option('--mesh <RxC>', 'the hosts as a grid, such as 2x2', grid)
    .addOption(
      new Option('--route <way>', 'how bytes get from host to host: directly, or by way of the client')
        .choices(['direct', 'client'])
        .default('direct'),
    )
    .option('--layers', 'let layers run on one host alone, too')
    .option('--dim <name=size>', 'size of a free dimension; may be repeated', dimension)
    .option('--input <name=shape>', 'shape of an input, such as x=1,3,48,320; may be repeated', shape)
    .option(
      '--in <name=layout>',
      'how an input lies on the hosts already: S0, B or P; may be repeated',
      layout,
    )
    .option('--out <name=layout>', 'how an output is to lie on the hosts; may be repeated', layout)
    .option('--explain <node>', 'show what each signature of this node costs after the nodes before it')
    .option('--svg <file>', 'draw the plan into a file')
    .option('--json', 'print the plan as JSON')
    .allowExcessArguments(false)
    .action(plan);
  return command;
}

async function plan(file: string, options: Options): Promise<void> {
  const { planModel, walkModel } = await import('../../shard/index.js');
  const model = readModelFile(file);
  const asked = planOptions(options);
  try {
    if (options.explain !== undefined) {
      const { explainNode } = await import('./explain.js');
      process.stdout.write(explainNode(await walkModel(model, asked), options.explain));
      return;
    }
    const { report } = await planModel(model, asked);
    if (options.svg !== undefined) {
      const { drawPlan } = await import('./draw.js');
      writePicture(options.svg, drawPlan(report));
    }
    const { planText } = await import('./plan-text.js');
    const text = options.json
      ? `${JSON.stringify(report, null, 2)}\n`
      : planText(report, styleOf(process.stdout));
    process.stdout.write(text);
  } catch (error) {
    // The library throws errors without a code; a mistake of ours is told with its stack.
    if (!(error instanceof Error) || error instanceof TypeError || /^Farlight bug/.test(error.message))
      throw error;
    throw new FarlightError('BAD_OPTION', error.message, { cause: error });
  }
}

function writePicture(file: string, picture: string): void {
  try {
    writeFileSync(file, picture);
  } catch (error) {
    throw new Error(`the picture ${file} cannot be written: ${(error as Error).message}; name another file`);
  }
}

function readModelFile(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    const { message } = error as Error;
    throw new FarlightError('BAD_OPTION', `the model ${file} cannot be read: ${message}; name an ONNX file`);
  }
}

function planOptions({
  hosts,
  memory,
  link,
  gops,
  mesh,
  layers,
  route,
  dim,
  input,
  in: ins = [],
  out = [],
}: Options): PlanOptions {
  return {
    hosts,
    ...(memory !== undefined && { memory }),
    ...(mesh && { mesh }),
    ...(layers && { layers }),
    route,
    link: { bitsPerSecond: link.mbit * 1e6, roundTrip: link.rtt / 1000 },
    operationsPerSecond: gops * 1e9,
    dimensions: new Map(dim),
    shapes: new Map(input),
    layouts: new Map([...ins, ...out]),
  };
}

function line(text: string): Options['link'] {
  const found = { ...USUAL_LINE };
  const parts = text.split(',').map((part) => /^(rtt|mbit)=(\d+(?:\.\d+)?)$/.exec(part) ?? []);
  for (const [, name, value] of parts) if (name) found[name as keyof typeof found] = Number(value);
  const names = parts.map(([, name]) => name);
  if (names.includes(undefined) || new Set(names).size < names.length || found.mbit === 0)
    throw new InvalidArgumentError('Give rtt=MS and mbit=MBIT, each once, such as rtt=1,mbit=1000.');
  return found;
}

function grid(text: string): number[] {
  const [, rows, columns] = /^([1-9]\d?)x([1-9]\d?)$/.exec(text) ?? [];
  if (!rows) throw new InvalidArgumentError('Give rows and columns, such as 2x2.');
  return [Number(rows), Number(columns)];
}

/** The name before the last "=", and the text behind it. */
function named(text: string): [string, string] {
  const at = text.lastIndexOf('=');
  if (at < 1) throw new InvalidArgumentError('Give a name and a value with "=" between them.');
  return [text.slice(0, at), text.slice(at + 1)];
}

function dimension(text: string, before: Options['dim'] = []): Options['dim'] {
  const [name, size] = named(text);
  return [...before, [name, count(size)]];
}

function shape(text: string, before: Options['input'] = []): Options['input'] {
  const [name, sizes] = named(text);
  return [...before, [name, sizes.split(',').map(count)]];
}

function layout(text: string, before: Options['in'] = []): Options['in'] {
  const [name, placements] = named(text);
  return [...before, [name, placements.split(',').map(placement)]];
}

function placement(text: string): Placement {
  if (text === 'B' || text === 'P') return text;
  const [, axis] = /^S(\d)$/.exec(text) ?? [];
  if (axis === undefined)
    throw new InvalidArgumentError('Give S0, S1 and so on, B or P for each axis of the mesh.');
  return Number(axis);
}
