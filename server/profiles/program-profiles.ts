import type { DeviceRequest } from '../executor/reuse/device-request.js';
import type { DeviceRecipes, ProfileStep } from './profile.js';
import { newestProfiles, type ProfileStore } from './profile-store.js';

/** What one program compiled on its devices, by how it had asked for those. */
export class ProgramProfiles {
  readonly #program: string;
  readonly #store: ProfileStore;

  constructor(program: string, store: ProfileStore) {
    this.#program = program;
    this.#store = store;
  }

  read(request: DeviceRequest): readonly ProfileStep[] {
    return this.#store.read(this.#key(request))?.steps ?? [];
  }

  write(request: DeviceRequest, steps: readonly ProfileStep[]): void {
    this.#store.write(this.#key(request), { program: this.#program, device: request.recipes, steps });
  }

  /** How it came by the devices that it used last, on this GPU or on another; the newest first. */
  devices(): DeviceRecipes[] {
    const newest = [...newestProfiles([this.#store.folder])].map(({ profile }) => profile);
    return newest.filter(({ program }) => program === this.#program).map(({ device }) => device);
  }

  #key({ key }: DeviceRequest): string {
    return JSON.stringify([this.#program, key]);
  }
}
