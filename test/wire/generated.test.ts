import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { COMMANDS, OPERATIONS } from '#farlight/proto/gen/operations.js';
import { CommandWriter } from '#farlight/proto/wire/command-writer.js';
import { Handle } from '#farlight/proto/wire/handle.js';
import { Reader } from '#farlight/proto/wire/reader.js';
import type { Writer } from '#farlight/proto/wire/writer.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

it('regenerating proto/gen and the table of operations gives no difference', () => {
  const out = mkdtempSync(join(tmpdir(), 'farlight-gen-'));
  const docs = mkdtempSync(join(tmpdir(), 'farlight-gen-docs-'));
  try {
    execFileSync(process.execPath, [join(root, 'scripts/generate.mjs'), out, docs], { stdio: 'pipe' });
    const table = (folder: string) => readFileSync(join(folder, 'operations-table.md'), 'utf8');
    expect(table(docs)).toBe(table(join(root, 'docs')));
    const names = readdirSync(join(root, 'proto/gen')).sort();
    expect(readdirSync(out).sort()).toEqual(names);
    for (const name of names) {
      expect(readFileSync(join(out, name), 'utf8')).toBe(readFileSync(join(root, 'proto/gen', name), 'utf8'));
    }
  } finally {
    rmSync(out, { recursive: true });
    rmSync(docs, { recursive: true });
  }
}, 60_000);

it('opcodes are the positions in the command table', () => {
  expect(COMMANDS.map((command) => command.opcode)).toEqual(COMMANDS.map((_command, index) => index));
});

const owner = {};

/** What a command's arguments become on the way: written by the client, read by the host. */
function cross<Wire, Read>(
  operation: { write(w: Writer, args: Wire): void; read(r: Reader<unknown>): Read },
  args: Wire,
): Read {
  const w = new CommandWriter(owner);
  operation.write(w, args);
  const operands = [...w.operands];
  const payloads = [...w.payloads];
  const r = new Reader<unknown>(w.content, {
    object: (kinds) => ({ id: operands.shift(), kinds }),
    bytes: () => payloads.shift() as Uint8Array,
    string: () => new TextDecoder().decode(payloads.shift()),
  });
  const read = operation.read(r);
  expect([r.done, operands, payloads]).toEqual([true, [], []]);
  return read;
}

it('a descriptor arrives with its defaults, given or not', () => {
  const { createBuffer } = OPERATIONS.GPUDevice;
  const sparse = createBuffer.convert?.([{ size: 16, usage: 8 }]);
  const full = createBuffer.convert?.([{ size: 16, usage: 8, mappedAtCreation: false, label: '' }]);
  if (!sparse || !full) throw new Error('createBuffer has a converter');
  expect(cross(createBuffer, sparse)).toEqual([{ label: '', size: 16, usage: 8, mappedAtCreation: false }]);
  expect(cross(createBuffer, full)).toEqual(cross(createBuffer, sparse));
});

it('an absent optional member stays absent', () => {
  const { createBindGroupLayout } = OPERATIONS.GPUDevice;
  const converted = createBindGroupLayout.convert?.([
    { entries: new Set([{ binding: 1, visibility: 4, buffer: { type: 'storage' }, sampler: undefined }]) },
  ]);
  if (!converted) throw new Error('createBindGroupLayout has a converter');
  expect(cross(createBindGroupLayout, converted)).toEqual([
    {
      label: '',
      entries: [
        {
          binding: 1,
          visibility: 4,
          buffer: { type: 'storage', hasDynamicOffset: false, minBindingSize: 0 },
        },
      ],
    },
  ]);
});

it('handles, unions and records arrive unchanged', () => {
  const { createComputePipeline } = OPERATIONS.GPUDevice;
  const module = new Handle(3, owner);
  const constants = { a: 1.5, '7': -0 };
  const compute = { module, entryPoint: 'main', constants };
  const resolved = { id: 3, kinds: ['GPUShaderModule'] };
  expect(cross(createComputePipeline, [{ label: 'p', layout: 'auto', compute }])).toEqual([
    { label: 'p', layout: 'auto', compute: { module: resolved, entryPoint: 'main', constants } },
  ]);
  const layout = new Handle(9, owner);
  expect(cross(createComputePipeline, [{ label: 'p', layout, compute }])).toMatchObject([
    { layout: { id: 9, kinds: ['GPUPipelineLayout'] } },
  ]);
});

it('an omitted last argument arrives as undefined', () => {
  const { clearBuffer } = OPERATIONS.GPUCommandEncoder;
  const buffer = new Handle(1, owner);
  expect(cross(clearBuffer, [buffer, 0, undefined])).toEqual([{ id: 1, kinds: ['GPUBuffer'] }, 0, undefined]);
});
