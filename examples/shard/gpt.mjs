// A small GPT as an ONNX file: causal attention by heads, with the keys and values of earlier positions as inputs
// and outputs, GELU, and a layer norm before each part. Its weights are random, but the same each time.
import { randomArray } from '../support/random.mjs';
import { node, onnxModel, tensor, value } from '../transformers/onnx-file.mjs';

/**
 * Takes `ids` and their `positions`, a `mask` that is added to the scores of attention, and the keys and values of all
 * positions before. Gives the `logits` of each position, and all keys and values.
 */
export function gptModel({ layers, width, heads, vocabulary, positions }) {
  const tensors = [
    tensor('size', [], Float32Array.of(Math.sqrt(width / heads))),
    tensor('half', [], Float32Array.of(0.5)),
    tensor('one', [], Float32Array.of(1)),
    tensor('root', [], Float32Array.of(Math.SQRT2)),
    tensor('by_head', [4], BigInt64Array.of(1n, -1n, BigInt(heads), BigInt(width / heads))),
    tensor('joined', [3], BigInt64Array.of(1n, -1n, BigInt(width))),
  ];
  const nodes = [];
  let seed = 0;
  const weight = (name, dims, scale) => {
    const count = dims.reduce((product, size) => product * size, 1);
    seed += 1;
    tensors.push(tensor(name, dims, randomArray(count, seed, scale)));
    return name;
  };
  const add = (operator, inputs, output, attributes) => {
    nodes.push(node(operator, inputs, output, attributes));
    return output;
  };
  const linear = (input, name, from, to) => {
    add('MatMul', [input, weight(`${name}.w`, [from, to], 2 / Math.sqrt(from))], `${name}.product`);
    return add('Add', [`${name}.product`, weight(`${name}.b`, [to], 0.2)], name);
  };
  const norm = (input, name) => {
    tensors.push(tensor(`${name}.scale`, [width], new Float32Array(width).fill(1)));
    return add('LayerNormalization', [input, `${name}.scale`, weight(`${name}.bias`, [width], 0.1)], name, {
      axis: -1,
    });
  };
  const byHead = (input, name) => {
    add('Reshape', [input, 'by_head'], `${name}.heads`);
    return add('Transpose', [`${name}.heads`], name, { perm: [0, 2, 1, 3] });
  };

  add('Gather', [weight('tokens', [vocabulary, width], 2), 'ids'], 'token');
  add('Gather', [weight('places', [positions, width], 2), 'positions'], 'place');
  let x = add('Add', ['token', 'place'], 'x');
  for (let layer = 0; layer < layers; layer += 1) {
    const at = (name) => `${layer}.${name}`;
    const normed = norm(x, at('norm'));
    const [query, key, values] = ['query', 'key', 'value'].map((name) =>
      byHead(linear(normed, at(name), width, width), at(`${name}.split`)),
    );
    add('Concat', [at('past.key'), key], at('key.all'), { axis: 2 });
    add('Concat', [at('past.value'), values], at('value.all'), { axis: 2 });
    add('Transpose', [at('key.all')], at('columns'), { perm: [0, 1, 3, 2] });
    add('MatMul', [query, at('columns')], at('products'));
    add('Div', [at('products'), 'size'], at('scores'));
    add('Add', [at('scores'), 'mask'], at('masked'));
    add('Softmax', [at('masked')], at('shares'), { axis: -1 });
    add('MatMul', [at('shares'), at('value.all')], at('mixed'));
    add('Transpose', [at('mixed')], at('mixed.rows'), { perm: [0, 2, 1, 3] });
    add('Reshape', [at('mixed.rows'), 'joined'], at('attention'));
    x = add('Add', [x, linear(at('attention'), at('out'), width, width)], at('x'));
    const wide = linear(norm(x, at('norm2')), at('wide'), width, 4 * width);
    add('Div', [wide, 'root'], at('wide.root'));
    add('Erf', [at('wide.root')], at('erf'));
    add('Add', [at('erf'), 'one'], at('erf.one'));
    add('Mul', [wide, at('erf.one')], at('twice'));
    add('Mul', [at('twice'), 'half'], at('gelu'));
    x = add('Add', [x, linear(at('gelu'), at('narrow'), 4 * width, width)], at('y'));
  }
  add('MatMul', [norm(x, 'last'), weight('head', [width, vocabulary], 2 / Math.sqrt(width))], 'logits');

  const state = Object.entries(gptState(layers));
  const cache = (name, length) => value(name, 'float32', [1, heads, length, width / heads]);
  return onnxModel({
    name: 'gpt',
    inputs: [
      value('ids', 'int64', [1, 'new']),
      value('positions', 'int64', [1, 'new']),
      value('mask', 'float32', ['new', 'all']),
      ...state.map(([past]) => cache(past, 'past')),
    ],
    outputs: [
      value('logits', 'float32', [1, 'new', vocabulary]),
      ...state.map(([, all]) => cache(all, 'all')),
    ],
    tensors,
    nodes,
  });
}

/** Which output is the next step's input: `{ '0.past.key': '0.key.all', … }`. */
export function gptState(layers) {
  const each = [...Array(layers).keys()].flatMap((layer) => [`${layer}.key`, `${layer}.value`]);
  return Object.fromEntries(each.map((name) => [name.replace('.', '.past.'), `${name}.all`]));
}
