import type { Command } from 'commander';

type Example = readonly [typed: string, about: string];

/** The examples of each command, by its name without `farlight`. */
const EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  '': [
    ['farlight run -- node app.mjs', 'on a GPU of this machine, or a software one'],
    ['farlight serve', 'on the machine with the GPU'],
    ['farlight run --host grpc://127.0.0.1:7070 -- node app.mjs', "on that host's GPU"],
    ['farlight run --emulate rtt=30,mbit=100 -- node app.mjs', 'as if the GPU were 30 ms away'],
    ['farlight serve --listen 0.0.0.0:7070', 'for other machines: prints the address to paste there'],
    ['farlight doctor --host grpc://127.0.0.1:7070', 'is something wrong, and how fast is it?'],
    ['farlight top', 'what does the host on this machine do?'],
    ['farlight run --trace out.json -- node app.mjs', 'what happened when, for https://ui.perfetto.dev'],
  ],
  serve: [
    ['farlight serve', 'for programs of this machine'],
    ['farlight serve --listen 0.0.0.0:7070', 'for other machines: prints the address to paste there'],
    ['farlight serve --adapter NVIDIA --gpu-memory 8GiB', 'one of several GPUs, and a limit for each tenant'],
    ['farlight serve --dashboard 127.0.0.1:0', 'with its page on any free port'],
    ['farlight serve --drain 30', 'on SIGTERM, sessions have half a minute to end'],
    ['farlight serve --drain 60 --move-to grpcs://TOKEN@HOST:7070?ca=PIN', 'or go on at another host'],
  ],
  run: [
    ['farlight run -- node app.mjs', 'on a GPU of this machine, or a software one'],
    ['farlight run --host grpc://127.0.0.1:7070 -- node app.mjs', "on that host's GPU"],
    ['farlight run --stats -- node app.mjs', 'what crossed the network?'],
    ['farlight run --emulate rtt=30,mbit=100 -- node app.mjs', 'as if the host were 30 ms away'],
    ['farlight run --trace out.json -- node app.mjs', 'what happened when, for https://ui.perfetto.dev'],
    ['farlight run --record out.fltrace -- node app.mjs', 'the whole session, for farlight replay'],
  ],
  replay: [
    ['farlight replay out.fltrace', 'on a GPU of this machine: are all results the same?'],
    ['farlight replay out.fltrace --host grpc://127.0.0.1:7070', "on that host's GPU"],
  ],
  doctor: [
    ['farlight doctor', 'what GPU is there?'],
    ['farlight doctor --host grpc://127.0.0.1:7070', 'and does that host work, and how fast is the line?'],
    ['farlight doctor --json | jq .healthy', 'for a script'],
  ],
  top: [
    ['farlight top', 'the host of this machine'],
    ['farlight top --json | jq .sessions', 'only its sessions, for a script'],
    ['ssh -L 7071:127.0.0.1:7071 HOST', 'and farlight top here shows the host there'],
  ],
  session: [
    ['farlight session ls', 'with the ids of the sessions'],
    ['farlight session park rJx0Qe', 'give its GPU memory to others until its program goes on'],
    ['farlight session move rJx0Qe', 'to one of the hosts of farlight serve --move-to'],
  ],
  infer: [
    ['farlight infer --models models', 'on a GPU of this machine, or a software one'],
    ['farlight infer --models models --host grpc://127.0.0.1:7070', "on that host's GPU"],
    ['farlight infer --models models --gpu-memory 2GiB', 'and use no more of its memory'],
    ['curl http://127.0.0.1:8000/v2/models/NAME', 'what a model takes and gives'],
    ['farlight infer check models', 'is anything wrong with this folder?'],
  ],
  'infer check': [
    ['farlight infer check models', 'models/NAME/1/model.onnx, models/NAME/graph.yaml'],
    ['farlight infer check models --json | jq .problems', 'for a script'],
  ],
  job: [
    ['farlight job submit examples/jobs/tfjs.yaml --wait', 'run a program, and wait for its exit code'],
    ['farlight job ls', 'which jobs are there, and where do they stand?'],
    ['farlight job logs tfjs-1', 'what has it printed?'],
  ],
  'job submit': [
    ['farlight job submit train.yaml', 'prints the id of the job, such as train-1'],
    ['farlight job submit train.yaml --wait', 'ends with the exit code of the program'],
  ],
  'job render': [['farlight job render train.yaml', 'exactly what submit would send']],
  'job plan': [
    ['farlight job plan train.yaml --explain', 'which template and image, and why not the others?'],
  ],
  'job ls': [
    ['farlight job ls', 'all jobs'],
    ['farlight job ls train-1', 'the tasks of one, and where its files are'],
    ['farlight job ls --json | jq .[].phase', 'for a script'],
  ],
  'job logs': [['farlight job logs sums-1 --task worker.0', 'one task of several']],
  'job cancel': [['farlight job cancel train-1', 'an id from farlight job ls']],
  'job retry': [['farlight job retry train-1', 'only its tasks that did not end well']],
  'job rm': [['farlight job rm train-1', 'with its logs, output and results']],
  template: [
    ['farlight template ls', 'what is there, and for which jobs?'],
    ['farlight template check mine.yaml', 'is anything wrong with this template?'],
    ['farlight template add mine.yaml', 'a new template, or a new version'],
  ],
  'template show': [['farlight template show batch', 'as it was written']],
  image: [
    ['farlight image ls', 'in which images can jobs run?'],
    ['farlight image build node', 'the base image that comes with Farlight, by this machine’s Docker'],
    ['farlight image add tfjs.yaml', 'an image by its digest'],
  ],
  cache: [
    ['farlight cache ls', 'how much is kept?'],
    ['farlight cache clear', 'delete it; programs upload it again'],
  ],
  'cache ls': [
    ['farlight cache ls', 'how much is kept, and since when?'],
    ['farlight cache ls --json | jq .host.bytes', 'for a script'],
  ],
  'cache clear': [['farlight cache clear', 'delete what is kept; programs upload it again']],
  token: [
    ['farlight token add --note "laptop of Ada"', 'give one more person the host'],
    ['farlight token ls', 'who has a token?'],
    ['farlight token revoke 3f9c0a71be', 'this token no longer works; its sessions end'],
  ],
  'token add': [
    ['farlight token add --note "laptop of Ada"', 'prints the token, only this once'],
    ['farlight token add --tenant ada', 'for a person who shares nothing that the host keeps'],
  ],
  'token ls': [
    ['farlight token ls', 'the ids and notes of all tokens'],
    ['farlight token ls --json | jq length', 'for a script'],
  ],
  'token revoke': [['farlight token revoke 3f9c0a71be', 'an id from farlight token ls']],
  pool: [
    ['farlight run --pool local -- node app.mjs', 'a host of this machine, while the program needs it'],
    ['farlight pool ls', 'which hosts are there, and which pools?'],
    ['farlight pool down --all', 'end all of them'],
  ],
  'pool ls': [
    ['farlight pool ls', 'the hosts of this user'],
    ['farlight pool ls --portal http://127.0.0.1:7075', 'those of a portal, and who waits'],
  ],
  'pool describe': [['farlight pool describe lab', 'where do its hosts stand, and why?']],
  'pool down': [
    ['farlight pool down lab', 'end the hosts of one pool'],
    ['farlight pool down --all', 'of every pool of this user'],
  ],
  'pool up': [
    ['farlight pool up lab.yaml', 'copy its files, and try the CPU side'],
    ['farlight pool up --gpu lab.yaml', 'try the GPU side too, which has a node started'],
  ],
  'pool run': [
    ['farlight pool run lab -- node train.mjs', 'a program on the CPU side, whose GPU is of the pool'],
    [
      'farlight pool run lab -- make all',
      'whose rules say farlight offload -- COMMAND where they need a GPU',
    ],
  ],
  offload: [
    ['farlight offload -- ./train --epochs 3', 'on a GPU node of the pool that runs this command'],
    [
      'farlight offload --gpu a100:2 --input data.bin -- ./train data.bin',
      'on a node with two of these GPUs',
    ],
    ['farlight offload --pool lab -- ./train', 'from any machine that has the pool'],
  ],
  stream: [
    ['farlight stream run voices.yaml', 'on a GPU of this machine, or a software one'],
    ['farlight stream upgrade voices.yaml --plan', 'what would change?'],
    ['farlight stream upgrade voices.yaml', 'and change it, while it runs'],
  ],
  'stream run': [
    ['farlight stream run voices.yaml --host grpc://127.0.0.1:7070', "on that host's GPU"],
    [
      'farlight stream run voices.yaml --listen 0.0.0.0:8010',
      'and take records from other machines, with TLS and tokens',
    ],
  ],
  'stream upgrade': [
    ['farlight stream upgrade voices.yaml --plan', 'what would change?'],
    ['farlight stream upgrade voices.yaml --reset decide', 'where the states of a step begin anew'],
    ['farlight stream upgrade voices.yaml --drop frame', 'where a step is removed, with its states'],
  ],
  'stream worker': [
    [
      'farlight stream worker voices --nats nats://broker:4222',
      'join an application that runs with --workers',
    ],
  ],
  'stream rollback': [['farlight stream rollback voices.yaml', 'back to the version before']],
  'stream status': [
    ['farlight stream status voices.yaml', 'records, steps and outputs'],
    ['farlight stream status voices.yaml --json | jq .epoch', 'for a script'],
  ],
  'stream check': [['farlight stream check voices.yaml', 'is anything wrong with this file?']],
  'pool serve': [
    ['farlight pool serve', 'all pools of this user, for its own programs'],
    ['farlight pool serve gpus.yaml --listen 0.0.0.0:7075 --owner ada', 'for other users and machines'],
    ['farlight token add --tenant bob', 'let one more tenant book hosts'],
    ['farlight pool ls --portal http://127.0.0.1:7075', 'who waits, and why?'],
  ],
  shard: [
    ['farlight shard plan model.onnx --hosts 2', 'what would move between two hosts, and does it pay?'],
  ],
  'shard plan': [
    ['farlight shard plan model.onnx --hosts 2 --memory 4GiB', 'where a host has room for 4 GiB of weights'],
    [
      'farlight shard plan model.onnx --hosts 4 --mesh 2x2 --svg plan.svg',
      'over a grid of hosts, with a picture',
    ],
    [
      'farlight shard plan model.onnx --hosts 2 --explain /layer/MatMul',
      'what each signature of a node costs',
    ],
  ],
};

export function addExamples(command: Command): void {
  const path: string[] = [];
  for (let at: Command | null = command; at?.parent; at = at.parent) path.unshift(at.name());
  const examples = EXAMPLES[path.join(' ')] ?? [];
  const width = Math.max(...examples.map(([typed]) => typed.length));
  const lines = examples.map(([typed, about]) => `  ${typed.padEnd(width)}  ${about}`);
  if (lines.length > 0) command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`);
}
