import type { DeviceRecipes, Recipe } from '../../profiles/profile.js';
import type { DecodedCommand } from '../wire/decoded-command.js';

/** How a program asked for an adapter. */
export interface AdapterRequest {
  readonly content: string;
  readonly recipe: Recipe;
}

/** How a program asked for a device. */
export interface DeviceRequest {
  /** What asked for the like on the like gets the like: the GPU, and what was asked of it. */
  readonly key: string;
  /** What the names of the device's pipelines begin with. */
  readonly name: string;
  readonly recipes: DeviceRecipes;
}

/** Takes note of a `requestAdapter`, while its slots are filled. */
export function adapterRequest({ content, again }: DecodedCommand): AdapterRequest {
  return { content, recipe: again };
}

/** Takes note of a `requestDevice`, while its slots are filled. */
export function deviceRequest(
  { info }: GPUAdapter,
  adapter: AdapterRequest,
  { content, name, again }: DecodedCommand,
): DeviceRequest {
  return {
    // An adapter gives another device where it was asked for as one of less: `featureLevel`.
    key: JSON.stringify([info.device, info.description, adapter.content, content]),
    name,
    recipes: { adapter: adapter.recipe, device: again },
  };
}
