import type { Entry } from '../objects/object-table.js';
import type { Context } from './context.js';

export function destroy({ garbage, memory }: Context, self: Entry): void {
  const texture = self.object as GPUTexture;
  texture.destroy();
  garbage.destroyed(texture);
  memory?.destroyed(texture);
}
