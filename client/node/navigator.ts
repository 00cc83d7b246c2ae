import { availableParallelism } from 'node:os';
import { INTERNAL, illegal } from '../api/interface.js';

/**
 * The navigator that Node has from version 21 on, for older Nodes. Libraries size their thread pools by it,
 * and recognize browsers by it.
 */
export class Navigator {
  /** Found when it is first asked for: that loads the data of languages, which takes some milliseconds. */
  #languages: readonly string[] | undefined;

  constructor(token?: unknown) {
    if (token !== INTERNAL) illegal();
  }

  get hardwareConcurrency(): number {
    return availableParallelism();
  }

  get language(): string {
    return this.languages[0] as string;
  }

  get languages(): readonly string[] {
    this.#languages ??= Object.freeze([new Intl.Collator().resolvedOptions().locale]);
    return this.#languages;
  }

  get platform(): string {
    return platformName(process.platform, process.arch);
  }

  get userAgent(): string {
    return `Node.js/${process.versions.node.split('.')[0]}`;
  }
}

for (const name of ['hardwareConcurrency', 'language', 'languages', 'platform', 'userAgent'])
  Object.defineProperty(Navigator.prototype, name, { enumerable: true });

/**
 * Installed as a variable that can be set: programs for older Nodes set their own. In newer Nodes it is
 * read-only.
 */
export function installNavigator(): void {
  const variable = { configurable: true, writable: true };
  Object.defineProperty(globalThis, 'Navigator', { ...variable, value: Navigator, enumerable: false });
  const value = new Navigator(INTERNAL);
  Object.defineProperty(globalThis, 'navigator', { ...variable, value, enumerable: true });
}

/** The names that browsers use, with the architecture where there are several. */
const SYSTEMS: Readonly<Record<string, string | Readonly<Record<string, string>>>> = {
  darwin: 'MacIntel',
  win32: 'Win32',
  aix: 'AIX',
  linux: { '': 'Linux', ia32: 'i686', x64: 'x86_64' },
  freebsd: { '': 'FreeBSD', ia32: 'i386', x64: 'amd64' },
  openbsd: { '': 'OpenBSD', ia32: 'i386', x64: 'amd64' },
  sunos: { '': 'SunOS', ia32: 'i86pc' },
};

/** `navigator.platform` of Node on this system and processor. */
export function platformName(platform: string, arch: string): string {
  const system = SYSTEMS[platform] ?? { '': platform.charAt(0).toUpperCase() + platform.slice(1) };
  return typeof system === 'string' ? system : `${system['']} ${system[arch] ?? arch}`;
}
