import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { strangeFile } from '#farlight/link/address/socket-file.js';
import { mayBeOther, OTHER, OTHERS } from '../support/machine/other-user.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
afterEach(() => temporary.remove());

const own = (uid: number) => uid === process.getuid?.() || uid === 0;

/** A folder of this user's own, with a file in it. */
function made(mode = 0o755): { folder: string; file: string } {
  const folder = join(temporary.make(), 'folder');
  mkdirSync(folder);
  chmodSync(folder, mode);
  const file = join(folder, 'socket');
  writeFileSync(file, '');
  return { folder, file };
}

describe('the path of a unix socket', () => {
  it('is trusted where everything on it belongs to the user or root, and nobody else may replace it', () => {
    for (const mode of [0o700, 0o755, 0o1777]) expect(strangeFile(made(mode).file, own)).toBeUndefined();
    const { file } = made();
    const link = join(temporary.make(), 'link');
    symlinkSync(file, link);
    expect(strangeFile(link, own)).toBeUndefined();
    expect(strangeFile(join(temporary.make(), 'none'), own)).toBeUndefined();
  });

  it('is not trusted where others may write to a folder on it, or on the target of a link', () => {
    const { folder, file } = made(0o777);
    expect(strangeFile(file, own)).toEqual({ path: folder, uid: undefined });
    const link = join(temporary.make(), 'link');
    symlinkSync('.', join(folder, 'here'));
    symlinkSync(join(folder, 'here', 'socket'), link);
    expect(strangeFile(link, own)).toEqual({ path: folder, uid: undefined });
  });

  it('is not trusted where links form a circle', () => {
    const link = join(temporary.make(), 'link');
    symlinkSync(link, link);
    expect(strangeFile(link, own)).toBeUndefined();
  });

  it.runIf(mayBeOther)(
    `is not trusted where another user owns the socket, a folder, or a link (${OTHERS})`,
    () => {
      const { folder, file } = made(0o1777);
      chownSync(file, OTHER, OTHER);
      expect(strangeFile(file, own)).toEqual({ path: file, uid: OTHER });
      expect(strangeFile(file, (uid) => own(uid) || uid === OTHER)).toBeUndefined();
      chownSync(folder, OTHER, OTHER);
      expect(strangeFile(join(folder, 'x'), own)).toEqual({ path: folder, uid: OTHER });
    },
  );
});
