// The GPT of the example.
export { decode } from '../../../examples/shard/decode.mjs';
export { gptModel, gptState } from '../../../examples/shard/gpt.mjs';
