import { fromBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { raiseClipOpset } from '#farlight/infer/lanes/gpu/clip-opset.js';
import { seeded } from '../../support/random/seeded.js';
import { type OnnxModel, onnxBytes, unary } from './models.js';

const clip = (attributes: Record<string, number>, opset = 9) =>
  onnxBytes(unary('Clip', 'FP32', ['batch'], { attributes, opset }));

/** Each node as `outputs = operator(inputs)`, and the constants by name. */
function nodesOf(model: Uint8Array | undefined) {
  const { graph, opsetImport } = fromBinary(ModelProtoSchema, model as Uint8Array);
  const constants = new Map<string, unknown>();
  const nodes: string[] = [];
  for (const { opType, input, output, attribute } of graph?.node ?? []) {
    const [value] = attribute;
    if (opType !== 'Constant')
      nodes.push(`${output} = ${opType}(${input.map((each) => constants.get(each) ?? each)})`);
    else if (value?.t) constants.set(output.join(), numbersOf(value.t));
  }
  return { opset: opsetImport[0]?.version, nodes };
}

function numbersOf({ dataType, rawData }: { dataType: number; rawData: Uint8Array }) {
  const { buffer } = rawData.slice();
  return dataType === 1 ? [...new Float32Array(buffer)].join() : `[${new BigInt64Array(buffer)}]`;
}

describe('raising the opset of a model with Clip', () => {
  it('raising the opset makes the bounds of Clip inputs, and leaves out absent ones', () => {
    expect(nodesOf(raiseClipOpset(clip({ max: 6, min: 0.5 })))).toEqual({
      opset: 11n,
      nodes: ['y = Clip(x,0.5,6)'],
    });
    expect(nodesOf(raiseClipOpset(clip({ min: 0 }, 10))).nodes).toEqual(['y = Clip(x,0)']);
    expect(nodesOf(raiseClipOpset(clip({ max: -1 }))).nodes).toEqual(['y = Clip(x,,-1)']);
    expect(nodesOf(raiseClipOpset(clip({}))).nodes).toEqual(['y = Clip(x)']);
  });

  it('raising the opset makes the places of a Slice inputs', () => {
    const model: OnnxModel = {
      ...unary('Clip', 'FP32', ['batch', 4], { opset: 9 }),
      nodes: [
        {
          operator: 'Slice',
          inputs: ['x'],
          outputs: ['part'],
          attributes: { axes: [1], ends: [-1], starts: [2 ** 40] },
        },
        { operator: 'Clip', inputs: ['part'], outputs: ['y'] },
      ],
    };
    expect(nodesOf(raiseClipOpset(onnxBytes(model))).nodes).toEqual([
      'part = Slice(x,[1099511627776],[-1],[1])',
      'y = Clip(part)',
    ]);
  });

  it.each([
    ['has no Clip', onnxBytes(unary('Relu', 'FP32', ['batch'], { opset: 9 }))],
    ['is of opset 11 already', clip({}, 11)],
    ['is older than opset 9', clip({}, 8)],
    [
      'has an operator that means something else in opset 11',
      onnxBytes({
        ...unary('Clip', 'FP32', ['batch'], { opset: 9 }),
        nodes: [
          { operator: 'Clip', inputs: ['x'], outputs: ['z'] },
          { operator: 'Pad', inputs: ['z'], outputs: ['y'] },
        ],
      }),
    ],
    ['is no model', new TextEncoder().encode('no model at all')],
    ['is empty', new Uint8Array()],
  ])('a file is left as it is that %s', (_, bytes) => {
    expect(raiseClipOpset(bytes)).toBeUndefined();
  });

  it('a file with cut or changed bytes is left to ONNX Runtime', () => {
    const random = seeded(7);
    const model = clip({ min: 0, max: 6 });
    for (let round = 0; round < 2000; round += 1) {
      const changed = model.slice(0, Math.ceil(random() * model.length));
      changed[Math.floor(random() * changed.length)] = Math.floor(random() * 256);
      expect(() => raiseClipOpset(changed)).not.toThrow();
    }
  });
});
