export interface Gpt {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
}
export function gptModel(gpt: Gpt & { readonly vocabulary: number; readonly positions: number }): Uint8Array;
export function gptState(layers: number): Record<string, string>;
export function decode(
  session: object,
  gpt: Gpt,
  prompt: readonly number[],
  steps: number,
): Promise<{ readonly tokens: number[]; readonly logits: Float32Array[] }>;
