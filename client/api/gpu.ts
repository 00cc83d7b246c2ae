import { type FarlightAdapter, OPERATIONS } from '../../proto/gen/operations.js';
import { bear, Resource, resourceOf } from '../../proto/webidl/resource.js';
import { ROOT_ID } from '../../proto/wire/handle.js';
import { ClientResource } from '../session/client-resource.js';
import type { Session } from '../session/session.js';
import { GPUAdapter } from './adapter.js';
import { defineInterface, INTERNAL, illegal, promising } from './define.js';
import { WGSLLanguageFeatures } from './supported.js';

const { requestAdapter } = OPERATIONS.GPU;

/**
 * What Dawn implements of WGSL's language extensions at the time of this release: what a program reads
 * before the host has said what it has.
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
  readonly session: Session;

  constructor(session: Session) {
    super(ROOT_ID, session);
    this.session = session;
  }
}

/** https://gpuweb.github.io/gpuweb/#gpu-interface */
export class GPU {
  readonly #wgslLanguageFeatures: WGSLLanguageFeatures;

  constructor(token?: unknown, session?: Session) {
    if (token !== INTERNAL || !session) illegal();
    bear(this, new GPUResource(session));
    const features = new Set(EXPECTED_LANGUAGE_FEATURES);
    this.#wgslLanguageFeatures = new WGSLLanguageFeatures(INTERNAL, features);
    session.onWelcome = (welcome) => {
      features.clear();
      for (const feature of welcome.wgslLanguageFeatures) features.add(feature);
    };
  }

  get wgslLanguageFeatures(): WGSLLanguageFeatures {
    return this.#wgslLanguageFeatures;
  }

  /** Rejects with a FarlightError where the host cannot be reached or has no GPU. */
  requestAdapter(...args: unknown[]): Promise<GPUAdapter | null> {
    return promising(() => {
      const session = sessionOf(this, 'requestAdapter');
      session.countAwaited();
      const converted = requestAdapter.convert?.(args);
      const adapter = new ClientResource(session, 'GPUAdapter', undefined, '');
      const fulfilled = (reply: FarlightAdapter<never> | null) =>
        reply && new GPUAdapter(INTERNAL, adapter, reply);
      return session.request(requestAdapter, session.root, converted, { fulfilled }, adapter);
    });
  }

  getPreferredCanvasFormat(): GPUTextureFormat {
    sessionOf(this, 'getPreferredCanvasFormat').countLocal();
    return 'bgra8unorm';
  }
}

defineInterface('GPU', GPU);

/** The session behind a GPU of ours. Throws TypeError on anything else. */
export function sessionOf(gpu: unknown, member: string): Session {
  const resource = resourceOf(gpu);
  if (!(resource instanceof GPUResource))
    throw new TypeError(`${member}: this is not a GPU that Farlight made`);
  return resource.session;
}
