import type { DeviceRecipes, Recipe } from '../../profiles/profile.js';
import type { DecodedCommand } from '../wire/decoded-command.js';

/** How a program asked for an adapter. */
export interface AdapterRequest {
  readonly content: string;
  readonly recipe: Recipe;
}

/** How a program asked for a device. */
export interface DeviceRequest {
  /** The GPU, and everything that the program asked of it. Devices with equal keys are interchangeable. */
  readonly key: string;
  /** The names of the device's pipelines begin with this. */
  readonly name: string;
  readonly recipes: DeviceRecipes;
}

/** Describes a `requestAdapter`. Call it while the command's slots are filled. */
export function adapterRequest({ content, again }: DecodedCommand): AdapterRequest {
  return { content, recipe: again };
}

/** Describes a `requestDevice`. Call it while the command's slots are filled. */
export function deviceRequest(
  { info }: GPUAdapter,
  adapter: AdapterRequest,
  { content, name, again }: DecodedCommand,
): DeviceRequest {
  return {
    // The adapter's options count too: with another `featureLevel` an adapter gives another device.
    key: JSON.stringify([info.device, info.description, adapter.content, content]),
    name,
    recipes: { adapter: adapter.recipe, device: again },
  };
}
