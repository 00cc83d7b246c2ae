// Builds an image as a folder of this machine, from the instructions of a Containerfile. COPY copies files, and bash runs
// the commands of RUN, with the image's folder in the place of `/`. The tools of `image-tools/` replace those that need
// the network or root. They accept only what the real tools accept.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { basename, delimiter, dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const TOOLS = fileURLToPath(new URL('image-tools', import.meta.url));
/** The known base images, and their users. */
const BASE = /^docker\.io\/library\/node:\d+(-[a-z]+)?-slim$/;
const USERS = ['root', 'node'];

/** The instructions of a Containerfile, without comments, and with continued lines joined. */
export function instructionsOf(text) {
  return text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, name, rest] = /^([A-Z]+) +(.+)$/.exec(line) ?? refuse(`unknown instruction: ${line}`);
      return { name, rest: rest.trim() };
    });
}

/** A command, with its absolute paths moved into the image's folder. */
const mapped = (root, text) => text.replace(/(?<=^|[\s=:'"<>])\/(?=\w)/g, `${root}/`);

/** The files of `folder` that a path matches. Its last part may contain `*`. */
function matches(folder, path) {
  const [parent, last] = [join(folder, dirname(path)), basename(path)];
  const pattern = new RegExp(
    `^${last
      .split('*')
      .map((part) => part.replace(/[.+]/g, '\\$&'))
      .join('.*')}$`,
  );
  const names = existsSync(parent) ? readdirSync(parent).filter((name) => pattern.test(name)) : [];
  return names.map((name) => join(parent, name));
}

/** Builds the last stage into `folder/N`. Returns the description of the image. */
export function build(text, context, folder) {
  const stages = [];
  for (const { name, rest } of instructionsOf(text)) {
    const stage = stages.at(-1);
    if (name === 'FROM') stages.push(begin(rest, join(folder, String(stages.length))));
    else if (!stage) refuse(`no build stage in current context: ${name}`);
    else (INSTRUCTIONS[name] ?? refuse(`unknown instruction: ${name}`))(stage, rest, context, stages);
  }
  const last = stages.at(-1) ?? refuse('file with no instructions');
  for (const path of last.volume)
    if (!existsSync(inside(last, path))) refuse(`${path} is a volume, and is not in the image`);
  return last;
}

function begin(rest, root) {
  const [, base, , name] = /^(\S+)( AS (\S+))?$/i.exec(rest) ?? refuse(`FROM ${rest}`);
  if (!BASE.test(base)) refuse(`unable to copy from source docker://${base}: manifest unknown`);
  for (const each of ['tmp', 'usr/local/bin', 'usr/local/lib', 'var/lib/apt/lists', 'home/node'])
    mkdirSync(join(root, each), { recursive: true });
  const nothing = { env: {}, workdir: '/', user: 'root', volume: [], expose: [], entrypoint: [], cmd: [] };
  return { ...nothing, root, name, signal: 'SIGTERM' };
}

const INSTRUCTIONS = {
  WORKDIR(stage, path) {
    stage.workdir = path;
    mkdirSync(inside(stage, path), { recursive: true });
  },
  COPY(stage, rest, context, stages) {
    const words = rest.split(/\s+/);
    const [, from] = /^--from=(.+)$/.exec(words[0]) ?? [];
    const source = from
      ? (stages.slice(0, -1).find(({ name }) => name === from) ?? refuse(`no stage is called ${from}`)).root
      : context;
    const [to, ...paths] = words.filter((word) => !word.startsWith('--')).reverse();
    const files = paths.flatMap((path) => {
      const found = matches(source, path);
      if (found.length === 0) refuse(`no items matching glob "${join(source, path)}" copied: no such file`);
      return found;
    });
    if (files.length > 1 && !to.endsWith('/')) refuse(`adding multiple sources to non-directory "${to}"`);
    for (const file of files) {
      const target = inside(stage, to);
      const asFile = statSync(file).isFile() && to.endsWith('/');
      mkdirSync(asFile ? target : dirname(target), { recursive: true });
      cpSync(file, asFile ? join(target, basename(file)) : target, { recursive: true });
    }
  },
  RUN(stage, command) {
    const { status } = execute(stage, ['bash', '-c', mapped(stage.root, command)]);
    if (status !== 0) refuse(`building at STEP "RUN ${command}": exit status ${status}`);
  },
  ENV(stage, rest) {
    for (const pair of rest.split(/\s+/)) {
      const [, name, value] = /^(\w+)=(.*)$/.exec(pair) ?? refuse(`Syntax error - can't find = in "${pair}"`);
      stage.env[name] = value;
    }
  },
  USER(stage, user) {
    if (!USERS.includes(user)) refuse(`unable to find user ${user}: no matching entries in passwd file`);
    stage.user = user;
  },
  VOLUME: (stage, path) => stage.volume.push(path),
  EXPOSE: (stage, port) => stage.expose.push(Number(port)),
  STOPSIGNAL(stage, signal) {
    stage.signal = signal;
  },
  ENTRYPOINT(stage, list) {
    stage.entrypoint = JSON.parse(list);
  },
  CMD(stage, list) {
    stage.cmd = JSON.parse(list);
  },
};

/** A path of an image, as one of this machine. */
export function inside({ root, workdir }, path) {
  return join(root, isAbsolute(path) ? path : join(workdir, path));
}

/** Runs a command of an image to its end. */
function execute(stage, [command, ...args]) {
  return spawnSync(command, args, {
    cwd: inside(stage, stage.workdir),
    env: environmentOf(stage),
    stdio: 'inherit',
  });
}

/** The environment of an image's process: the image's own, and this machine's settings for npm's packages. */
export function environmentOf({ root, env }, volumes = {}) {
  const place = (value) => {
    const [path] = Object.keys(volumes).filter((each) => value === each || value.startsWith(`${each}/`));
    return path === undefined ? value : value.replace(path, volumes[path]);
  };
  const own = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, place(value)]));
  const path = [join(root, 'usr/local/bin'), TOOLS, process.env.PATH].join(delimiter);
  const names = ['npm_config_userconfig', 'npm_config_cache', 'npm_config_prefer_offline'];
  const npm = Object.fromEntries(names.map((name) => [name, process.env[name]]));
  return { ...npm, HOME: join(root, 'home/node'), ...own, PATH: path, FARLIGHT_STAND_IN_IMAGE: root };
}

function refuse(why) {
  throw new Error(`Error: ${why}`);
}
