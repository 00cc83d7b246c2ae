#!/usr/bin/env node
// The parts of `podman build`, `run` and `exec` that the documentation uses, without containers. An image is a folder
// (image-build.mjs). A container is the image's program on this machine, with the image's environment and with folders
// as volumes. It listens at the published port. FARLIGHT_STAND_IN_ENGINE is the folder for images and containers.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, environmentOf, inside } from './image-build.mjs';
import { fail } from './stand-in.mjs';

const engine = process.env.FARLIGHT_STAND_IN_ENGINE ?? fail(125, 'FARLIGHT_STAND_IN_ENGINE names no folder');
const file = (kind, name) => join(engine, `${kind}-${name}.json`);
const read = (path) => (existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined);

/** The options of each command, and whether they take a value. Everything after the first word is for the container. */
const COMMANDS = {
  build: { options: { '-f': true, '-t': true }, run: buildImage },
  run: { options: { '--name': true, '-p': true, '-v': true }, run: runImage },
  exec: { options: {}, run: executeIn },
};
const [command, ...args] = process.argv.slice(2);
const { options, run } = COMMANDS[command] ?? fail(125, `Error: unrecognized command \`podman ${command}\``);
const given = {};
while (args[0]?.startsWith('-')) {
  const option = args.shift();
  if (!(option in options)) fail(125, `Error: unknown flag: ${option}`);
  given[option] = args.shift() ?? fail(125, `Error: flag needs an argument: ${option}`);
}
await run(given, args);

function buildImage({ '-f': from = 'Containerfile', '-t': name }, [context, ...more]) {
  if (!context || more.length > 0 || !existsSync(context)) fail(125, 'Error: no context directory');
  if (!existsSync(from))
    fail(125, `Error: the specified Containerfile or Dockerfile does not exist: ${from}`);
  mkdirSync(engine, { recursive: true });
  try {
    const image = build(readFileSync(from, 'utf8'), context, mkdtempSync(join(engine, 'image-')));
    writeFileSync(file('image', name), JSON.stringify(image));
    process.stdout.write(`Successfully tagged localhost/${name}:latest\n`);
  } catch (error) {
    fail(125, error.message);
  }
}

async function runImage({ '--name': name, '-p': ports = '', '-v': mount = '' }, [imageName, ...words]) {
  const image =
    read(file('image', imageName)) ?? fail(125, `Error: short-name "${imageName}" did not resolve`);
  if (existsSync(file('container', name))) fail(125, `Error: the container name "${name}" is already in use`);
  const [, bind = '0.0.0.0', outer, inner] =
    /^(?:([\d.]+):)?(\d+):(\d+)$/.exec(ports) ?? fail(125, `Error: invalid port format: ${ports}`);
  if (!image.expose.includes(Number(inner))) fail(125, `the image exposes ${image.expose}, and not ${inner}`);
  const [, volume, path] = /^(\w+):(\/.+)$/.exec(mount) ?? fail(125, `Error: invalid volume: ${mount}`);
  if (!image.volume.includes(path))
    fail(125, `the image keeps what it has in ${image.volume}, not in ${path}`);
  const folder = join(engine, `volume-${volume}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });

  // In a container the program listens on every address. Here it listens on the published one.
  const listen = `0.0.0.0:${inner}`;
  const line = [...image.entrypoint, ...(words.length > 0 ? words : image.cmd)];
  if (!line.includes(listen)) fail(125, `what runs does not listen on ${listen}, which is published`);
  const published = line.map((word) => (word === listen ? `grpcs://${bind}:${outer}` : word));
  const env = environmentOf(image, { [path]: folder });
  writeFileSync(file('container', name), JSON.stringify({ image, env, volume: { path, folder } }));
  const child = spawn(published[0], published.slice(1), {
    cwd: inside(image, image.workdir),
    env,
    stdio: 'inherit',
  });
  child.on('error', (error) => fail(127, `Error: crun: executable file not found: ${error.message}`));
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => child.kill(image.signal));
  const code = await new Promise((resolve) => child.on('close', resolve));
  rmSync(file('container', name));
  process.exit(code ?? 137);
}

function executeIn(_, [name, program, ...words]) {
  const { image, env, volume } =
    read(file('container', name)) ?? fail(125, `Error: no container with name or ID "${name}" found`);
  const seen = words.map((word) =>
    word.startsWith(`${volume.path}/`) ? word.replace(volume.path, volume.folder) : word,
  );
  const { status, error } = spawnSync(program, seen, {
    cwd: inside(image, image.workdir),
    env,
    stdio: 'inherit',
  });
  if (error) fail(127, `Error: crun: executable file \`${program}\` not found`);
  process.exit(status ?? 137);
}
