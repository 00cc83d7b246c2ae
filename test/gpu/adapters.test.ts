import { describe, expect, it } from 'vitest';
import { probeAdapter } from '#farlight/server/probe-adapter.js';
import { FAKE_EXECUTOR } from '../support/repository.js';

describe('an adapter', () => {
  it('the software adapter is there on every machine', async () => {
    const { adapter, wgslLanguageFeatures } = await probeAdapter('software');
    expect(adapter).toMatchObject({ name: 'SwiftShader Device (Subzero)', vendor: 'google', software: true });
    expect(wgslLanguageFeatures).toContain('packed_4x8_integer_dot_product');
  });

  it('is found where none is named', async () => {
    const { adapter } = await probeAdapter('auto');
    expect(adapter.name).not.toBe('');
  });

  it('is found by a part of its name, in letters of any case', async () => {
    const { adapter, choice } = await probeAdapter('swiftSHADER');
    expect(adapter.name).toBe('SwiftShader Device (Subzero)');
    expect(choice).toBe('software');
  });

  it('the null adapter can be opened', async () => {
    const { adapter } = await probeAdapter('null');
    expect(adapter.name).toBe('null');
  });

  it('an adapter that does not open in time is given up with a sentence', async () => {
    const options = { entry: FAKE_EXECUTOR, startMs: 100 };
    await expect(probeAdapter('once:/nowhere', options)).rejects.toMatchObject({
      code: 'NO_ADAPTER',
      message: expect.stringMatching(/within 0.1 seconds, and was ended; see .*driver answers$/),
    });
  });

  it('an unknown adapter is refused with a sentence that says what to do and which adapters there are', async () => {
    await expect(probeAdapter('RTX 9090')).rejects.toMatchObject({
      code: 'NO_ADAPTER',
      message: expect.stringMatching(
        /^no GPU on this machine is called "RTX 9090".*--adapter software.*; there is: .*SwiftShader Device \(Subzero\)$/,
      ),
    });
  });

  it('an adapter of the driver in VK_ICD_FILENAMES comes before any other', async () => {
    process.env.VK_ICD_FILENAMES = '/nonexistent/icd.json';
    try {
      // Where the driver cannot be loaded, the embedded GPU is left.
      expect((await probeAdapter('auto')).adapter.name).toBe('SwiftShader Device (Subzero)');
    } finally {
      delete process.env.VK_ICD_FILENAMES;
    }
  });
});
