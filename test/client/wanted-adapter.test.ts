import { describe, expect, it } from 'vitest';
import { close, create, FarlightError } from '#farlight/client/index.js';
import { refusalOf } from '#farlight/client/options.js';
import { testHost } from '#farlight/testing/index.js';

/** Finds the names of all adapters, as programs for npm `webgpu` do: see its README. */
async function adapterNames(newGpu: (adapter: string) => GPU): Promise<string[]> {
  const { message } = await newGpu('no such adapter')
    .requestAdapter()
    .then(
      () => expect.fail('there is such an adapter'),
      (error) => error,
    );
  const [, list = ''] = message.split('Available adapters:\n');
  return [...list.matchAll(/^ \* backend: '.+', name: '(.+)'$/gm)].map((match) => match[1] as string);
}

const gpus: Record<string, (host: { url: string }) => (adapter: string) => GPU> = {
  'this machine': () => (adapter) => create([`adapter=${adapter}`]),
  'a host': (host) => (adapter) => create([`host=${host.url}`, `adapter=${adapter}`]),
};

describe('a program that names an adapter', () => {
  it.each(Object.entries(gpus))(
    'the error for a wrong adapter lists those of %s, and a listed one works by name',
    async (_, of) => {
      const host = await testHost({ adapter: 'software', spares: 0 });
      const newGpu = of(host);
      expect(await adapterNames(newGpu)).toContain('SwiftShader Device (Subzero)');
      const gpu = newGpu('SwiftShader Device (Subzero)');
      expect((await gpu.requestAdapter())?.info.vendor).toBe('google');
      close(gpu);
      await host.close();
    },
  );
});

describe('the GPU of a host', () => {
  const fits = (wanted: string, name: string, software: boolean) =>
    refusalOf(wanted, { name, vendor: '', architecture: '', software, driver: '' }) === undefined;

  it.each([
    ['auto', 'NVIDIA L4', false],
    ['NVIDIA L4', 'NVIDIA L4', false],
    ['nvidia', 'NVIDIA L4', false],
    ['software', 'llvmpipe (LLVM 19.1)', true],
    ['null', 'null', true],
  ])('accepts the adapter %s for the name %s', (...each) => expect(fits(...each)).toBe(true));

  it.each([
    ['software', 'NVIDIA L4', false],
    ['software', 'null', true],
    ['NVIDIA L40', 'NVIDIA L4', false],
    ['null', 'NVIDIA L4', false],
  ])('rejects the adapter %s for the name %s', (...each) => expect(fits(...each)).toBe(false));

  it('rejects another GPU with an error of Farlight that has a code', () => {
    const refusal = refusalOf('A100', {
      name: 'NVIDIA L4',
      vendor: '',
      architecture: '',
      software: false,
      driver: '',
    });
    expect(refusal).toBeInstanceOf(FarlightError);
    expect(refusal).toMatchObject({
      code: 'NO_ADAPTER',
      message: expect.stringMatching(/no GPU .* "A100";/),
    });
  });
});
