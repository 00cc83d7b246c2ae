import type { Context } from '../context.js';
import type { Entry } from '../objects.js';

export function destroy({ garbage, memory }: Context, self: Entry): void {
  const texture = self.object as GPUTexture;
  texture.destroy();
  garbage.destroyed(texture);
  memory?.destroyed(texture);
}
