import type { DeviceRecipes, Recipe } from '../../profiles/profile.js';
import type { Profiles } from '../handlers/context.js';
import { DecodedCommand } from '../wire/decoded-command.js';
import { compileAhead } from './compile-ahead.js';
import { adapterRequest, deviceRequest } from './device-request.js';
import { OpenDevice } from './open-device.js';

/** Devices of a program that are prepared; most have one. */
const MOST_DEVICES = 4;

/** What there is for a program that has not come yet. */
export interface OpenedAhead {
  /** Nobody's yet, and some of them still compiling. */
  readonly devices: OpenDevice[];
  /** Resolves when all is compiled. */
  readonly compiled: Promise<unknown>;
}

/**
 * Opens the devices that a program asked for the last time, and begins to compile what it had compiled on them.
 *
 * @param recipes How it came by its devices, on this GPU or on another.
 */
export async function openAhead(
  gpu: GPU,
  recipes: readonly DeviceRecipes[],
  profiles: Profiles,
): Promise<OpenedAhead> {
  const devices: OpenDevice[] = [];
  const isOpen = (key: string) => devices.some(({ request }) => request.key === key);
  for (const recipe of recipes) {
    if (devices.length === MOST_DEVICES) break;
    const opened = await openDeviceAhead(gpu, recipe, profiles, isOpen);
    if (opened) devices.push(opened);
  }
  return { devices, compiled: Promise.all(devices.map(({ compiling }) => compiling)) };
}

async function openDeviceAhead(
  gpu: GPU,
  recipes: DeviceRecipes,
  profiles: Profiles,
  isOpen: (key: string) => boolean,
): Promise<OpenDevice | undefined> {
  try {
    const asked = filled(recipes.adapter);
    const adapter = await gpu.requestAdapter(...(asked.args as [GPURequestAdapterOptions?]));
    if (!adapter) return undefined;
    const command = filled(recipes.device);
    const request = deviceRequest(adapter, adapterRequest(asked), command);
    // Recipes of another GPU may be those of a profile of this one, or of none.
    const steps = isOpen(request.key) ? [] : profiles.read(request);
    if (steps.length === 0) return undefined;
    const device = await adapter.requestDevice(...(command.args as [GPUDeviceDescriptor?]));
    const opened = new OpenDevice(device, request);
    compileAhead(opened, steps);
    return opened;
  } catch {
    // Another version of Farlight wrote it, or this GPU has not what was asked for: the program will be told.
    return undefined;
  }
}

function filled({ shape, payloads }: Recipe): DecodedCommand {
  const command = new DecodedCommand(shape, false);
  command.fillWith([], payloads);
  return command;
}
