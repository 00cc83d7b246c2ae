import type { Client } from '../protocol/repository.js';
import type { Exchange } from './exchange.js';

/** The names in a path. */
export interface PathNames {
  readonly model: string;
  readonly version: string | undefined;
}

export interface Route {
  readonly method: 'GET' | 'POST';
  /** A path of the protocol, as OpenAPI writes it: `/v2/models/{model}/infer`. Also with `/versions/{version}` where it says so. */
  readonly path: string;
  /** Whether the path may name a version behind the model. */
  readonly versions?: boolean;
  /** Whether a client needs no token: a supervisor asks how the server is. */
  readonly open?: boolean;
  handle(exchange: Exchange, names: PathNames, client: Client): void | Promise<void>;
}

/** Finds the routes of a path. */
export class Router {
  readonly #routes: readonly { route: Route; pattern: RegExp }[];

  constructor(routes: readonly Route[]) {
    this.#routes = routes.map((route) => ({ route, pattern: patternOf(route) }));
  }

  /**
   * The route of a method and a path, with the names in the path; where there is none, the methods that the path has.
   *
   * @param path without the query.
   */
  find(method: string, path: string): { route: Route; names: PathNames } | { methods: string[] } {
    const methods: string[] = [];
    for (const { route, pattern } of this.#routes) {
      const match = pattern.exec(path);
      if (!match) continue;
      const names = namesIn(match.groups);
      if (!names) continue;
      if (route.method === method || (route.method === 'GET' && method === 'HEAD')) return { route, names };
      methods.push(route.method, ...(route.method === 'GET' ? ['HEAD'] : []));
    }
    return { methods };
  }
}

function patternOf({ path, versions }: Route): RegExp {
  const withVersion = versions ? path.replace('{model}', '{model}{versions}') : path;
  const pattern = withVersion
    .replaceAll('.', '\\.')
    .replace('{model}', '(?<model>[^/]+)')
    .replace('{versions}', '(?:/versions/(?<version>[^/]+))?');
  return new RegExp(`^${pattern}/?$`);
}

/** Undefined where an escape in the path is none. */
function namesIn(groups: Readonly<Record<string, string | undefined>> = {}): PathNames | undefined {
  try {
    const { model = '', version } = groups;
    return {
      model: decodeURIComponent(model),
      version: version === undefined ? undefined : decodeURIComponent(version),
    };
  } catch {
    return undefined;
  }
}
