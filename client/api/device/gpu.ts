import { type FarlightAdapter, OPERATIONS } from '../../../proto/gen/operations.js';
import type { Welcome } from '../../../proto/session/handshake.js';
import { bear, Resource, resourceOf } from '../../../proto/webidl/resource.js';
import { ROOT_ID } from '../../../proto/wire/handle.js';
import { ClientResource } from '../../session/client-resource.js';
import type { Session } from '../../session/session.js';
import type { Stats } from '../../session/stats.js';
import { defineInterface, INTERNAL, illegal, promising } from '../interface.js';
import { GPUAdapter } from './adapter.js';
import { WGSLLanguageFeatures } from './capabilities.js';
import { type GpuMemory, memoryOf } from './gpu-memory.js';
import { type MakeSession, Sessions } from './gpu-sessions.js';

const { requestAdapter } = OPERATIONS.GPU;

/**
 * WGSL's language extensions in Dawn at the time of this release. Programs read these until the host has told
 * its own.
 */
const EXPECTED_LANGUAGE_FEATURES = [
  'fragment_depth',
  'immediate_address_space',
  'linear_indexing',
  'packed_4x8_integer_dot_product',
  'pointer_composite_access',
  'readonly_and_readwrite_storage_textures',
  'subgroup_id',
  'subgroup_uniformity',
  'swizzle_assignment',
  'texture_and_sampler_let',
  'texture_formats_tier1',
  'uniform_buffer_standard_layout',
  'unrestricted_pointer_parameters',
  'buffer_view',
];

class GPUResource extends Resource {
  readonly kind = 'GPU';
  readonly sessions: Sessions;

  constructor(sessions: Sessions) {
    super(ROOT_ID);
    this.sessions = sessions;
  }

  /** The session whose observer is told of calls. */
  get session(): Session {
    return this.sessions.current;
  }
}

/** https://gpuweb.github.io/gpuweb/#gpu-interface */
export class GPU {
  readonly #wgslLanguageFeatures: WGSLLanguageFeatures;

  constructor(token?: unknown, make?: MakeSession) {
    if (token !== INTERNAL || !make) illegal();
    const features = new Set(EXPECTED_LANGUAGE_FEATURES);
    this.#wgslLanguageFeatures = new WGSLLanguageFeatures(INTERNAL, features);
    const onWelcome = ({ wgslLanguageFeatures }: Welcome) => {
      features.clear();
      for (const feature of wgslLanguageFeatures) features.add(feature);
    };
    bear(this, new GPUResource(new Sessions(make, onWelcome)));
  }

  get wgslLanguageFeatures(): WGSLLanguageFeatures {
    return this.#wgslLanguageFeatures;
  }

  /** Rejects with a FarlightError if the host cannot be reached or has no GPU. */
  requestAdapter(...args: unknown[]): Promise<GPUAdapter | null> {
    return promising(() => {
      const sessions = sessionsOf(this, 'requestAdapter');
      sessions.current.countAwaited();
      return adapterOf(sessions, requestAdapter.convert?.(args));
    });
  }

  getPreferredCanvasFormat(): GPUTextureFormat {
    sessionsOf(this, 'getPreferredCanvasFormat').current.countLocal();
    return 'bgra8unorm';
  }
}

defineInterface('GPU', GPU);

function adapterOf(sessions: Sessions, converted: unknown): Promise<GPUAdapter | null> {
  const session = sessions.forRequest();
  const wasAccepted = session.welcome !== undefined;
  const adapter = new ClientResource(session, 'GPUAdapter', undefined, '');
  const settlement = {
    fulfilled: (reply: FarlightAdapter<never> | null) => reply && new GPUAdapter(INTERNAL, adapter, reply),
    rejected: (error: Error) => {
      // The session was lost before, and nobody noticed. Ask a new session, once: no host has accepted that
      // one yet.
      if (wasAccepted && error === session.ended && sessions.forRequest() !== session)
        return adapterOf(sessions, converted);
      throw error;
    },
  };
  return session.request(requestAdapter, session.root, converted, settlement, adapter);
}

/** The sessions of a GPU that Farlight made. Throws TypeError on anything else. */
function sessionsOf(gpu: unknown, member: string): Sessions {
  const resource = resourceOf(gpu);
  if (!(resource instanceof GPUResource))
    throw new TypeError(`${member}: this is not a GPU that Farlight made`);
  return resource.sessions;
}

/** Makes a GPU whose commands go over the sessions that `make` returns, one after the other. */
export function gpuOf(make: MakeSession): globalThis.GPU {
  return new GPU(INTERNAL, make) as unknown as globalThis.GPU;
}

/** The counts of all sessions of this GPU, since it was made. */
export function stats(gpu: globalThis.GPU): Stats {
  return sessionsOf(gpu, 'stats').current.countedStats();
}

/**
 * Ends the session of this GPU: its devices are lost, its pending promises reject, and it gives no adapter
 * any more.
 */
export function close(gpu: globalThis.GPU): void {
  sessionsOf(gpu, 'close').close();
}

/**
 * The GPU memory of a device's session, or of the session that the GPU has at each call. The host counts it, reserved
 * memory included.
 *
 * @throws TypeError if it is neither a GPU nor a device that Farlight made.
 */
export function gpuMemory(of: globalThis.GPU | globalThis.GPUDevice): GpuMemory {
  const resource = resourceOf(of);
  if (resource instanceof ClientResource && resource.kind === 'GPUDevice')
    return memoryOf(() => resource.session);
  const sessions = sessionsOf(of, 'gpuMemory');
  return memoryOf(() => sessions.forRequest());
}
