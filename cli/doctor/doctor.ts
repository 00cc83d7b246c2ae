import { Command } from 'commander';
import { allocateHosts } from '../../client/index.js';
import { HostClient } from '../../client/transport/host/host-client.js';
import { isPoolAddress, isPortalAddress } from '../../link/address/pool-address.js';
import { packageVersion } from '../../link/machine/package-version.js';
import { bytes, counted } from '../../page/site/format.js';
import { FarlightError } from '../../proto/errors.js';
import { harmless, harmlessJson } from '../../proto/harmless.js';
import { type AdapterDescription, versionMismatch } from '../../proto/session/handshake.js';
import { negotiate, PROTOCOL } from '../../proto/session/version.js';
import { redact } from '../../proto/token.js';
import { gpuDeviceFiles } from '../../server/gpu/device-files.js';
import { type DeviceMemory, findDeviceMemory } from '../../server/gpu/device-memory.js';
import { probeAdapter } from '../../server/probe-adapter.js';
import { ADAPTER_HELP } from '../options/option-texts.js';
import { type Style, styleOf } from '../style.js';
import { examineJobs, type JobsReport } from './examine-jobs.js';
import { type LineSpeed, measureLine } from './measure-line.js';

interface DoctorOptions {
  host?: string;
  adapter: string;
  json?: boolean;
}

interface LocalReport {
  adapter?: AdapterDescription;
  memory?: DeviceMemory;
  problem?: string;
}

interface HostReport extends Omit<LocalReport, 'memory'> {
  url: string;
  /** Bytes of GPU memory for all sessions together; absent where the host does not know. */
  gpuCapacity?: number;
  version?: string;
  sessions?: number;
  line?: LineSpeed;
}

interface Report {
  farlight: string;
  node: string;
  platform: string;
  local: LocalReport;
  host?: HostReport;
  jobs: JobsReport;
  healthy: boolean;
  advice: string[];
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('Tell which GPU there is, or why there is none, and how fast the line to a host is.')
    .option('--host <url>', 'also examine this host: the address that it printed (or FARLIGHT_HOST)')
    .option('--adapter <name>', ADAPTER_HELP, 'auto')
    .option('--json', 'print the findings as JSON')
    .allowExcessArguments(false)
    .action(doctor);
}

async function doctor(options: DoctorOptions): Promise<void> {
  const named = options.host ?? (process.env.FARLIGHT_HOST || undefined);
  const { addresses, release } = await allocateHosts(named === undefined ? [] : [named]);
  try {
    await examine(options, addresses[0], named);
  } finally {
    await release();
  }
}

/** `named`: the host as the person named it, which may be a pool. */
async function examine(options: DoctorOptions, url?: string, named?: string): Promise<void> {
  // Comes first: a person with a malformed URL should not wait for a GPU.
  const client = url === undefined ? undefined : new HostClient(url);
  const local = await examineLocal(options.adapter);
  const found = client && (await examineHost(client).finally(() => client.close()));
  const host = found && isPoolAddress(named ?? '') ? { ...found, url: redact(named ?? '') } : found;
  const jobs = await examineJobs();
  const report: Report = {
    farlight: packageVersion(),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    local,
    ...(host && { host }),
    jobs,
    // A machine with a working host needs no GPU of its own.
    healthy: host ? !host.problem : !local.problem,
    advice: [
      ...(jobs.problem === undefined ? [] : [`No job can be submitted: ${jobs.problem}.`]),
      ...advise(local, host),
    ],
  };
  process.stdout.write(
    options.json
      ? `${harmlessJson(JSON.stringify(report, null, 2))}\n`
      : print(report, styleOf(process.stdout)),
  );
  if (report.healthy) return;
  process.stderr.write(`farlight: ${harmless((host ?? local).problem ?? '')}\n`);
  process.exitCode = 1;
}

async function examineLocal(choice: string): Promise<LocalReport> {
  try {
    const { adapter } = await probeAdapter(choice);
    return { adapter, memory: await findDeviceMemory(adapter) };
  } catch (error) {
    return { problem: sentence(error) };
  }
}

async function examineHost(client: HostClient): Promise<HostReport> {
  const { url } = client;
  try {
    const described = await client.describe();
    const { adapter, adapterProblem, version, sessions, protocolMin, protocolMax, gpuCapacity } = described;
    const report: HostReport = { url, version, sessions, ...(gpuCapacity > 0 && { gpuCapacity }) };
    if (negotiate(PROTOCOL, { min: protocolMin, max: protocolMax }) === undefined) {
      const ours = { protocolMin: PROTOCOL.min, protocolMax: PROTOCOL.max, version: packageVersion() };
      return { ...report, problem: versionMismatch(ours, { protocolMin, protocolMax, version }) };
    }
    const line = await measureLine(client);
    return adapter ? { ...report, adapter, line } : { ...report, line, problem: adapterProblem };
  } catch (error) {
    return { url, problem: sentence(error) };
  }
}

function advise(local: LocalReport, host: HostReport | undefined): string[] {
  const advice: string[] = [];
  const devices = gpuDeviceFiles();
  if (local.adapter?.software && devices.some((file) => file.includes('nvidia'))) {
    advice.push(
      `There is an NVIDIA GPU (${devices.join(', ')}) but no Vulkan driver for it: install the driver's graphics part ` +
        `(libnvidia-gl), or start the container with NVIDIA_DRIVER_CAPABILITIES=all.`,
    );
  } else if (local.adapter?.software && devices.length > 0) {
    advice.push(
      `There is a GPU (${devices.join(', ')}) that Vulkan cannot use: install mesa-vulkan-drivers (or the vendor's driver), ` +
        `and see that this user may open the device (group render).`,
    );
  } else if (local.adapter?.software && !host) {
    advice.push(
      `This machine has no hardware GPU: programs run on its CPU, slowly. For a real one, start farlight serve on a machine ` +
        `that has it, and name that with --host.`,
    );
  }
  if (host?.problem) advice.push('Programs cannot run on this host; the reason is below.');
  else if (host)
    advice.push(`Programs can run on this host: farlight run ${optionFor(host.url)} -- node app.mjs`);
  else if (local.problem) advice.push('Programs cannot run on this machine; the reason is below.');
  else advice.push('Programs can run on this machine: farlight run -- node app.mjs');
  return advice;
}

/** The option of `farlight run` that names the host or the pool. */
function optionFor(url: string): string {
  if (isPoolAddress(url) && !isPortalAddress(url)) return `--pool ${url}`;
  return `--host ${pasted(url)}`;
}

/** The address that a person types. A token is not shown, so the text refers to the same address. */
function pasted(url: string): string {
  if (/^(grpcs|pool\+https):/.test(url)) return 'THE-SAME-ADDRESS';
  return url.includes('?') ? `'${url}'` : url;
}

function print(
  { farlight, node, platform, local, host, jobs, healthy, advice }: Report,
  style: Style,
): string {
  const lines = [
    `${style('bold', 'farlight')}      ${farlight}, Node ${node}, ${platform}`,
    `${style('bold', 'this machine')}  ${local.adapter ? describe(local.adapter) : style('red', 'no GPU')}`,
  ];
  const { memory } = local;
  if (memory) lines.push(`  GPU memory  ${describeMemory(memory)}`);
  if (host) {
    const about = host.version
      ? ` (farlight ${harmless(host.version)}, ${counted(host.sessions ?? 0, 'session')} open)`
      : '';
    lines.push(`${style('bold', 'host')}          ${host.url}${about}`);
    lines.push(`  adapter     ${host.adapter ? describe(host.adapter) : style('red', 'none')}`);
    if (!host.problem) {
      const { gpuCapacity } = host;
      lines.push(`  GPU memory  ${gpuCapacity ? `${bytes(gpuCapacity)} for sessions` : 'unknown'}`);
    }
  }
  if (host?.line) {
    const { roundTripMs, uploadMiBs, downloadMiBs } = host.line;
    lines.push(`  round trip  ${roundTripMs} ms (median)`);
    lines.push(`  bandwidth   ${uploadMiBs} MiB/s up, ${downloadMiBs} MiB/s down`);
  }
  if (jobs.problem === undefined)
    lines.push(`${style('bold', 'jobs')}          ${jobs.templates} templates, ${jobs.images} images`);
  const next = advice.map((each, index) => {
    const last = index === advice.length - 1;
    return last ? style(healthy ? 'green' : 'red', each) : style('yellow', each);
  });
  return `${[...lines, '', ...next].join('\n')}\n`;
}

function describe({ name, driver, software }: AdapterDescription): string {
  return harmless(`${name}${software ? ' (software)' : ''}${driver ? `, ${driver}` : ''}`);
}

function describeMemory({ total, capacity, source }: DeviceMemory): string {
  if (total === undefined || capacity === undefined) return `unknown: ${source}`;
  return `${bytes(capacity)} for sessions, of ${bytes(total)} (${source})`;
}

function sentence(error: unknown): string {
  if (error instanceof FarlightError) return error.message;
  throw error;
}
