#!/usr/bin/env node
// The `list`, `describe` and unary calls of grpcurl. It learns the schema from the server's reflection alone, and reads
// none from this repository. Tests prefer a real grpcurl.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fail } from './stand-in.mjs';

const require = createRequire(import.meta.url);
const { credentials, loadPackageDefinition, makeGenericClientConstructor, Metadata } =
  require('@grpc/grpc-js');
const { loadSync } = require('@grpc/proto-loader');
const { Root } = require('protobufjs');
require('protobufjs/ext/descriptor');

/** The known flags, and whether a value follows. grpcurl accepts one dash or two. */
const FLAGS = { plaintext: false, insecure: false, H: true, d: true };

const given = { H: [] };
const words = [];
const args = process.argv.slice(2);
while (args.length > 0) {
  const arg = args.shift();
  const [, name, value] = /^--?([\w-]+)(?:=(.*))?$/s.exec(arg) ?? [];
  if (name === undefined) words.push(arg);
  else if (!(name in FLAGS)) fail(2, `flag provided but not defined: -${name}`);
  else if (!FLAGS[name]) given[name] = true;
  else if (name === 'H') given.H.push(value ?? args.shift() ?? fail(2, 'flag needs an argument: -H'));
  else given[name] = value ?? args.shift();
}
if (given.plaintext && given.insecure)
  fail(1, 'The -plaintext and -insecure arguments are mutually exclusive.');
const [address, verb, symbol] = words;
if (!/^\[?[\w.:]+\]?:\d+$/.test(address ?? '')) fail(2, `Failed to dial target host "${address}"`);
if (!verb) fail(2, 'No verb or symbol given.');

const metadata = new Metadata();
for (const header of given.H) {
  const at = header.indexOf(':');
  if (at < 1) fail(1, `The header "${header}" has no colon.`);
  metadata.add(header.slice(0, at).trim(), header.slice(at + 1).trim());
}
const channel = given.plaintext
  ? credentials.createInsecure()
  : credentials.createSsl(null, null, null, { rejectUnauthorized: !given.insecure });

const folder = join(dirname(require.resolve('@grpc/reflection/package.json')), 'build/proto');
const schema = loadSync('grpc/reflection/v1/reflection.proto', { includeDirs: [folder], longs: String });
const { ServerReflection } = loadPackageDefinition(schema).grpc.reflection.v1;
const reflection = new ServerReflection(address, channel);

/** Sends one request to the reflection service. Resolves to the reply. */
function ask(request) {
  return new Promise((resolve, reject) => {
    const call = reflection.ServerReflectionInfo(metadata, { deadline: Date.now() + 10_000 });
    call.on('error', reject);
    call.on('data', (reply) => {
      call.end();
      if (reply.errorResponse) reject(new Error(`Symbol not found: ${reply.errorResponse.errorMessage}`));
      else resolve(reply);
    });
    call.write(request);
  });
}

/** The server's schema of a symbol, and of everything that it refers to. */
async function schemaOf(name) {
  const { fileDescriptorResponse } = await ask({ fileContainingSymbol: name });
  const files = fileDescriptorResponse.fileDescriptorProto.map((bytes) => ({ bytes }));
  const set = Buffer.concat(files.map(({ bytes }) => Buffer.concat([tagged(bytes.length), bytes])));
  return Root.fromDescriptor(set).resolveAll();
}

/** The tag and the length of a FileDescriptorSet's field `file`. */
function tagged(length) {
  const bytes = [0x0a];
  let left = length;
  for (; left > 127; left >>>= 7) bytes.push((left & 127) | 128);
  return Buffer.from([...bytes, left]);
}

function described(found) {
  if (found.methodsArray) {
    const methods = found.methodsArray.map((each) => {
      const [from, to] = [each.resolvedRequestType, each.resolvedResponseType].map(
        ({ fullName }) => fullName,
      );
      return `  rpc ${each.name} ( ${each.requestStream ? 'stream ' : ''}${from} ) returns ( ${each.responseStream ? 'stream ' : ''}${to} );`;
    });
    return ['a service', `service ${found.name} {\n${methods.join('\n')}\n}`];
  }
  const fields = found.fieldsArray.map((each) => {
    const type = each.resolvedType ? each.resolvedType.fullName : each.type;
    return `  ${each.repeated ? 'repeated ' : ''}${type} ${each.name} = ${each.id};`;
  });
  return ['a message', `message ${found.name} {\n${fields.join('\n')}\n}`];
}

async function list() {
  const { listServicesResponse } = await ask({ listServices: '' });
  return listServicesResponse.service.map(({ name }) => name).sort();
}

async function call(path) {
  const [service, method] = path.split('/');
  const found = (await schemaOf(service)).lookupService(service).methods[method];
  if (!found) throw new Error(`service "${service}" does not include a method named "${method}"`);
  const { resolvedRequestType: from, resolvedResponseType: to } = found.resolve();
  const Client = makeGenericClientConstructor({}, service);
  const client = new Client(address, channel);
  const bytes = (message) => Buffer.from(from.encode(from.fromObject(message)).finish());
  const reply = await new Promise((resolve, reject) => {
    const read = (buffer) => to.decode(buffer);
    client.makeUnaryRequest(`/${path}`, bytes, read, JSON.parse(given.d ?? '{}'), metadata, (error, value) =>
      error ? reject(error) : resolve(value),
    );
  });
  client.close();
  return JSON.stringify(to.toObject(reply, { longs: String, enums: String, bytes: String }), undefined, 2);
}

try {
  if (verb === 'list') process.stdout.write(`${(await list()).join('\n')}\n`);
  else if (verb === 'describe') {
    const name = symbol ?? fail(2, 'this stand-in describes one symbol');
    const [kind, text] = described((await schemaOf(name)).lookup(name));
    process.stdout.write(`${name} is ${kind}:\n${text}\n`);
  } else process.stdout.write(`${await call(verb)}\n`);
} catch (error) {
  fail(1, `Failed: ${error.message}`);
} finally {
  reflection.close();
}
