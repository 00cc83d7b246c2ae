import type { DeviceRecipes, Recipe } from '../../profiles/profile.js';
import { DecodedCommand } from '../wire/decoded-command.js';
import { compileAhead } from './compile-ahead.js';
import { adapterRequest, type DeviceRequest, deviceRequest } from './device-request.js';
import { OpenDevice } from './open-device.js';
import type { Profiles } from './session-devices.js';

/** The most devices that are opened for one program. Most programs have one. */
const MOST_DEVICES = 4;

export interface OpenedAhead {
  /** Devices without an owner. Some of them are still compiling. */
  readonly devices: OpenDevice[];
  /** Resolves when all is compiled. */
  readonly compiled: Promise<unknown>;
}

/**
 * Opens the devices that a program had the last time, and begins to compile what the program compiled on them. The
 * program itself has not come yet.
 *
 * @param recipes How the program asked for its devices, on this GPU or on another.
 */
export async function openAhead(
  gpu: GPU,
  recipes: readonly DeviceRecipes[],
  profiles: Profiles,
): Promise<OpenedAhead> {
  const devices: OpenDevice[] = [];
  const isOpen = ({ key }: DeviceRequest) => devices.some(({ request }) => request.key === key);
  for (const recipe of recipes) {
    if (devices.length === MOST_DEVICES) break;
    const opened = await openDevice(gpu, recipe, profiles, isOpen);
    if (opened) devices.push(opened);
  }
  return { devices, compiled: Promise.all(devices.map(({ compiling }) => compiling)) };
}

async function openDevice(
  gpu: GPU,
  recipes: DeviceRecipes,
  profiles: Profiles,
  isOpen: (request: DeviceRequest) => boolean,
): Promise<OpenDevice | undefined> {
  try {
    const asked = commandOf(recipes.adapter);
    const adapter = await gpu.requestAdapter(...(asked.args as [GPURequestAdapterOptions?]));
    if (!adapter) return undefined;
    const command = commandOf(recipes.device);
    const request = deviceRequest(adapter, adapterRequest(asked), command);
    // The recipes may be of another GPU. Then this GPU may have the same device open already, or no profile for it.
    const steps = isOpen(request) ? [] : profiles.read(request);
    if (steps.length === 0) return undefined;
    const device = await adapter.requestDevice(...(command.args as [GPUDeviceDescriptor?]));
    const opened = new OpenDevice(device, request);
    compileAhead(opened, steps);
    return opened;
  } catch {
    // Another version of Farlight wrote the recipe, or this GPU cannot do what it asks for. The program will be told.
    return undefined;
  }
}

function commandOf({ shape, payloads }: Recipe): DecodedCommand {
  const command = new DecodedCommand(shape, false);
  command.fillWith([], payloads);
  return command;
}
