import { inspect } from 'node:util';
import { Command } from 'commander';
import { isLoopback } from '../../link/address/loopback.js';
import { poolAddress } from '../../link/address/pool-address.js';
import { quietGrpc } from '../../link/grpc/grpc.js';
import { packageVersion } from '../../link/machine/package-version.js';
import { FarlightError } from '../../proto/errors.js';
import { harmless } from '../../proto/harmless.js';
import type { Log } from '../../server/observatory/log.js';
import { hostFolder } from '../../server/trust/private-folder.js';
import { type LogOptions, logOption, openLog } from '../options/log-option.js';
import { addTrustOptions, type TrustOptions, trustOptions } from '../options/trust-options.js';
import { stopped, stopSignal } from '../stop-signal.js';

interface ServeOptions extends TrustOptions, LogOptions {
  listen: string;
  owner?: string[];
}

/** How often the portal's certificate is read again, in milliseconds. */
const CERTIFICATE_MS = 60_000;

export function serveCommand(): Command {
  const command = new Command('serve')
    .description(
      'Serve pools to the programs of several tenants: a page and an HTTP API that book hosts, show them and release them.',
    )
    .argument('[pools...]', 'the names or files of the pools; all pools of this user if left out')
    .option(
      '--listen <address>',
      'HOST:PORT (port 0: any free one), with TLS and tokens unless it is on loopback; or https://HOST:PORT for TLS and tokens on loopback, too',
      '127.0.0.1:7075',
    )
    .option(
      '--owner <tenant>',
      'a tenant that sees, and may end, what all tenants have; may be repeated (default: the user who runs the portal where it asks for no token)',
      (text: string, given: string[] | undefined) => [...(given ?? []), text],
    );
  return addTrustOptions(
    command,
    'portal',
    'let other users of this machine use the portal if it asks for no token',
  )
    .addOption(logOption())
    .action(serve);
}

async function serve(names: string[], options: ServeOptions): Promise<void> {
  quietGrpc();
  const log = await openLog(options);
  const running = await start(names, options, log);
  const stop = stopSignal();
  process.stdout.write(running.lines);
  await stopped(stop);
  await running.close();
  process.exit();
}

async function start(names: readonly string[], options: ServeOptions, log: Log) {
  const { readPool, poolNames } = await import('../../pool/definition/pool-file.js');
  const { Portal } = await import('../../pool/portal/portal.js');
  const { portalTrust } = await import('../../pool/portal/http/portal-trust.js');
  const { portalRoutes } = await import('../../pool/portal/http/portal-routes.js');
  const { PortalServer } = await import('../../pool/portal/http/portal-server.js');
  const { PortalMetrics } = await import('../../pool/portal/http/portal-metrics.js');
  const warn = (why: string) => log.warn({ why }, 'certificate or tokens unusable');
  const { listen, owner } = options;
  const trust = portalTrust({ ...trustOptions(options), listen, owners: owner }, warn);
  const { address, tls, tokens } = trust;
  // Programs of other users and machines cannot open a socket in this user's folder.
  const line = isLoopback(address.host) && trust.proxy === undefined ? 'tls' : 'network';
  const named = names.length > 0 ? names : poolNames();
  const pools = named.map((name) => ({ ...readPool(poolAddress(name)), line }) as const);
  const twice = pools.find(({ name }, at) => pools.findIndex((each) => each.name === name) !== at);
  if (twice)
    throw new FarlightError('BAD_OPTION', `two pools have the name ${twice.name}; give one of them another`);
  const version = packageVersion();
  const portal = new Portal({
    pools,
    version,
    log,
    standing: (tenant) => {
      const { gpuShare = 1, sessions = Number.POSITIVE_INFINITY } = tokens?.limitsOf(tenant) ?? {};
      return { weight: gpuShare, most: sessions };
    },
  });
  const metrics = new PortalMetrics(portal, version);
  const onError = (error: unknown) => log.error({ error: inspect(error) }, 'a request failed by a bug');
  const server = new PortalServer({
    trust,
    routes: portalRoutes({ portal, tokens, metrics: () => metrics.read(), onError }),
    onError,
  });
  const port = await server.listen();
  const unwatch = [tls?.watch(CERTIFICATE_MS, (renewed) => server.renew(renewed)), tokens?.watch()];
  portal.run();
  const url = trust.url(port);
  log.info({ url, pools: pools.map(({ name }) => name), version }, 'portal started');
  const first = pools[0]?.name ?? 'local';
  return {
    lines: [
      `farlight portal ready: ${url}`,
      `programs: FARLIGHT_HOST=${harmless(programAddress(url, first, tokens !== undefined))}`,
      ...(tokens ? [`tokens: farlight token add --tenant NAME makes one (in ${hostFolder()})`] : []),
      '',
    ].join('\n'),
    async close() {
      for (const stop of unwatch) stop?.();
      await server.close();
      // Last: answers that wait are over.
      await portal.close();
    },
  };
}

/** The address of a pool for programs, with the word TOKEN where a token has to be. */
function programAddress(url: string, pool: string, withToken: boolean): string {
  const [base = '', search = ''] = url.split(/(?=\?)/);
  return `pool+${withToken ? base.replace('://', '://TOKEN@') : base}/${pool}${search}`;
}
