import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { thrown } from './support.js';

const quarters = { data: new Uint8ClampedArray(16), width: 2, height: 2 };

describe('GPUDevice.importExternalTexture', () => {
  parity(
    'importExternalTexture throws a TypeError, since its sources exist only in a page',
    async ({ device, valid }) => {
      const { importExternalTexture } = device as unknown as {
        importExternalTexture(descriptor: object): void;
      };
      await valid(() => {
        for (const source of [{}, 'video.mp4', quarters]) {
          expect(thrown(() => importExternalTexture.call(device, { source }))).toBeInstanceOf(TypeError);
        }
      });
    },
  );
});
