import { describe, expect, it, vi } from 'vitest';
import { create } from '#farlight/client/index.js';
import { parseOptions } from '#farlight/client/options.js';

describe('the options of create', () => {
  it('create accepts the options of npm webgpu, and only the adapter has an effect', () => {
    const flags = ['backend=vulkan', 'enable-dawn-features=allow_unsafe_apis,dump_shaders', 'verbose=1'];
    const [with_, without] = [flags, []].map((each) => {
      const { grouping, reuse } = parseOptions(each);
      return { grouping, reuse };
    });
    expect(with_).toEqual(without);
    expect(() => create([...flags, 'disable-dawn-features=lazy_clear', 'dlldir=/usr/lib'])).not.toThrow();
  });

  it('an adapter option is checked against a named host, and the environment only affects private hosts', () => {
    vi.stubEnv('FARLIGHT_ADAPTER', 'software');
    expect(parseOptions(['host=grpc://127.0.0.1:1', 'adapter=llvmpipe']).wanted).toBe('llvmpipe');
    expect(parseOptions(['host=grpc://127.0.0.1:1']).wanted).toBeUndefined();
    expect(parseOptions(['adapter=llvmpipe']).wanted).toBeUndefined();
    vi.stubEnv('FARLIGHT_HOST', 'grpc://127.0.0.1:1');
    expect(parseOptions(['adapter=llvmpipe']).wanted).toBe('llvmpipe');
    vi.unstubAllEnvs();
  });

  it('rejects an unknown flag, with a sentence that lists the known ones', () => {
    expect(() => parseOptions(['backand=vulkan'])).toThrow(
      /'backand=vulkan'; it knows host=\.\.\., adapter=/,
    );
  });
});
