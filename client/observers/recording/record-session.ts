import { closeSync, ftruncateSync, writeSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { clearInterval, monotonicNow, setInterval, wallClock } from '../../../link/machine/clock.js';
import { packageVersion } from '../../../link/machine/package-version.js';
import { PROTOCOL } from '../../../proto/session/version.js';
import type { LinkObserver } from '../observed-transport.js';
import { fileProblem, openOutput } from '../output-file.js';
import { RECORD, RecordingWriter } from './recording-file.js';

/** How often waiting bytes are written, in milliseconds: a program that is killed loses no more than this. */
const FLUSH_MS = 250;

/** The recordings of this program, by the path that was asked for. */
const recordings = new Map<string, { made: number; vain: number[] }>();

/**
 * Records the frames of a session to a file, which is made when the session opens. The session must be
 * `fresh`, because the recording does not hold what the host has from earlier. If no host accepts a session,
 * the next session gets its file: a program may ask again and again until its host is there.
 *
 * @param shared Several programs were asked for the file: if it exists, the name of this one gets the
 *   process's id. Further sessions of one program always get numbers.
 * @throws FarlightError BAD_OPTION if the file cannot be made.
 */
export function recordSession(path: string, { shared }: { shared: boolean }): LinkObserver {
  const absolute = resolve(path);
  const here = recordings.get(absolute) ?? { made: 0, vain: [] };
  recordings.set(absolute, here);
  const number = here.made + 1;
  const about = { suffix: '.fltrace', what: 'the recording', token: 'record' } as const;
  const again = here.vain.pop();
  const descriptor = again ?? openOutput({ path: absolute, ...about, shared, number });
  if (again === undefined) here.made = number;
  else ftruncateSync(descriptor);
  let position = 0;
  let open = true;
  let accepted = false;
  const write = (bytes: Uint8Array) => {
    if (!open) return;
    try {
      for (let at = 0; at < bytes.length; ) {
        const written = writeSync(descriptor, bytes, at, bytes.length - at, position);
        at += written;
        position += written;
      }
    } catch (error) {
      // A full disk must not end the program that is recorded.
      open = false;
      process.stderr.write(`farlight: the recording ends here: ${fileProblem(error)}\n`);
    }
  };
  const began = monotonicNow();
  const ms = () => monotonicNow() - began;
  const writer = new RecordingWriter(
    {
      farlight: packageVersion(),
      protocol: PROTOCOL.max,
      program: basename(process.argv[1] ?? 'node'),
      recordedAt: new Date(wallClock()).toISOString(),
    },
    write,
  );
  const timer = setInterval(() => writer.flush(), FLUSH_MS).unref();
  const finish = () => {
    writer.flush();
    if (open && accepted) closeSync(descriptor);
    else if (open) here.vain.push(descriptor);
    open = false;
    clearInterval(timer);
    process.off('exit', finish);
  };
  process.on('exit', finish);
  return {
    onWelcome: ({ version: farlight, adapter }) => {
      accepted = true;
      writer.addObject(RECORD.welcome, ms(), { farlight, adapter: adapter.name });
    },
    onSend: (frame) => writer.add(RECORD.up, ms(), frame),
    onFrame: (frame) => writer.add(RECORD.down, ms(), frame),
    onClose: (why) => {
      if (why) writer.addObject(RECORD.closed, ms(), { code: why.code, message: why.message });
      finish();
    },
  };
}
