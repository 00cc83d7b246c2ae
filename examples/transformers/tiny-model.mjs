// Makes a model that transformers.js can load: a folder with a configuration, a tokenizer and an ONNX graph,
// one layer of a text encoder with attention. Its weights are random, but the same each time. It knows no
// language, but computes as much as a trained model of its size.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomArray } from '../support/random.mjs';
import { node, onnxModel, tensor, value } from './onnx-file.mjs';

const HIDDEN = 64;
const SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]'];

/** @param words the words that the tokenizer knows, in lower case. */
export function writeTinyModel(folder, words) {
  const tokens = [...SPECIAL, ...words];
  mkdirSync(join(folder, 'onnx'), { recursive: true });
  const json = (name, content) => writeFileSync(join(folder, name), JSON.stringify(content));
  json('config.json', {
    model_type: 'bert',
    architectures: ['BertModel'],
    hidden_size: HIDDEN,
    vocab_size: tokens.length,
    num_hidden_layers: 1,
    num_attention_heads: 1,
  });
  json('tokenizer_config.json', {
    tokenizer_class: 'BertTokenizer',
    model_max_length: 128,
    pad_token: '[PAD]',
    unk_token: '[UNK]',
    cls_token: '[CLS]',
    sep_token: '[SEP]',
  });
  json('tokenizer.json', tokenizer(tokens));
  writeFileSync(join(folder, 'onnx/model.onnx'), encoder(tokens.length));
}

function tokenizer(tokens) {
  const id = (token) => tokens.indexOf(token);
  const special = (token) => ({ SpecialToken: { id: token, type_id: 0 } });
  const sequence = { Sequence: { id: 'A', type_id: 0 } };
  return {
    version: '1.0',
    added_tokens: SPECIAL.map((content) => ({
      id: id(content),
      content,
      special: true,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    })),
    normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, lowercase: true },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [special('[CLS]'), sequence, special('[SEP]')],
      pair: [special('[CLS]'), sequence, special('[SEP]')],
      special_tokens: Object.fromEntries(
        ['[CLS]', '[SEP]'].map((token) => [token, { id: token, ids: [id(token)], tokens: [token] }]),
      ),
    },
    decoder: null,
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(tokens.map((token, index) => [token, index])),
    },
  };
}

/** Embedding, attention of one head, and two dense layers; each is added to its own input. */
function encoder(tokenCount) {
  const square = (name, seed) =>
    tensor(name, [HIDDEN, HIDDEN], randomArray(HIDDEN * HIDDEN, seed, 4 / Math.sqrt(HIDDEN)));
  const scalar = (name, number) => tensor(name, [], Float32Array.of(number));
  return onnxModel({
    name: 'encoder',
    inputs: ['input_ids', 'attention_mask'].map((name) => value(name, 'int64', ['batch', 'length'])),
    outputs: [value('last_hidden_state', 'float32', ['batch', 'length', HIDDEN])],
    tensors: [
      tensor('embedding', [tokenCount, HIDDEN], randomArray(tokenCount * HIDDEN, 1, 2)),
      ...['query_w', 'key_w', 'value_w', 'up_w', 'down_w'].map((name, index) => square(name, index + 2)),
      scalar('one', 1),
      scalar('far', -10_000),
      scalar('scale', 1 / Math.sqrt(HIDDEN)),
      tensor('axis', [1], BigInt64Array.of(1n)),
    ],
    nodes: [
      node('Gather', ['embedding', 'input_ids'], 'x', { axis: 0 }),
      node('MatMul', ['x', 'query_w'], 'query'),
      node('MatMul', ['x', 'key_w'], 'key'),
      node('MatMul', ['x', 'value_w'], 'value'),
      node('Transpose', ['key'], 'turned', { perm: [0, 2, 1] }),
      node('MatMul', ['query', 'turned'], 'products'),
      node('Mul', ['products', 'scale'], 'scaled'),
      // The padding of shorter texts in a batch gets no attention.
      node('Cast', ['attention_mask'], 'mask', { to: 1 }),
      node('Sub', ['one', 'mask'], 'hidden'),
      node('Mul', ['hidden', 'far'], 'distance'),
      node('Unsqueeze', ['distance', 'axis'], 'distances'),
      node('Add', ['scaled', 'distances'], 'scores'),
      node('Softmax', ['scores'], 'attention', { axis: 2 }),
      node('MatMul', ['attention', 'value'], 'seen'),
      node('Add', ['x', 'seen'], 'y'),
      node('MatMul', ['y', 'up_w'], 'up'),
      node('Tanh', ['up'], 'active'),
      node('MatMul', ['active', 'down_w'], 'down'),
      node('Add', ['y', 'down'], 'last_hidden_state'),
    ],
  });
}
