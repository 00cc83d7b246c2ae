import { Socket, type SocketConstructorOpts } from 'node:net';
import type { DuplexOptions } from 'node:stream';
import { FarlightError } from '../../proto/errors.js';
import type { ExecutorReport, SessionDescription } from '../../proto/handshake.js';
import { FrameDecoder, frameHeader, PIPE_FRAME_LIMIT } from '../../proto/wire/framing.js';
import type { OpenedGpu } from '../dawn.js';
import type { SessionEndpoint, SessionPeer } from './endpoint.js';

/** The duplex pipe to the process that started this one. */
const PIPE_FD = 3;
/** The bytes of replies that may wait for the pipe before no more commands are taken. */
const SEND_WATERMARK = 1024 * 1024;

export interface ExecutorParts {
  openGpu(choice: string): Promise<OpenedGpu>;
  /** `inheritance` is what the session before has left to this one. */
  createSession(
    gpu: GPU,
    peer: SessionPeer,
    about: SessionDescription,
    inheritance?: unknown,
  ): SessionEndpoint;
  /** Resolves when the process may end after its sessions: what is still being written is on disk. */
  settled?(): Promise<void> | undefined;
}

/**
 * Makes this process an executor: opens the GPU that `choice` names, reports to the parent, and
 * carries sessions over the pipe on descriptor 3, one after the other: each begins with a frame that describes
 * it; an empty frame ends it, and is answered with one when the next may begin. The process ends when a session breaks the protocol, when the
 * pipe closes, or when the parent is gone, whichever comes first.
 */
export async function runExecutor(choice: string, parts: ExecutorParts): Promise<void> {
  process.title = 'farlight-executor';
  // Ctrl-C in a terminal reaches every process of the group, but the parent decides when this one
  // ends: a program may still be using its GPU while it handles the signal.
  process.on('SIGINT', () => {});
  process.on('SIGHUP', () => {});
  process.on('disconnect', () => process.exit(0));
  process.on('uncaughtException', (error) => fail(`the executor failed: ${sentence(error)}`));

  // Frames that arrive before the GPU is open wait in the pipe: a socket reads nothing until it is asked.
  const options: SocketConstructorOpts & DuplexOptions = {
    fd: PIPE_FD,
    readable: true,
    writable: true,
    allowHalfOpen: true,
    writableHighWaterMark: SEND_WATERMARK,
  };
  const pipe = new Socket(options);
  pipe.on('error', () => process.exit(0));

  let opened: OpenedGpu;
  try {
    opened = await parts.openGpu(choice);
  } catch (error) {
    if (!(error instanceof FarlightError)) throw error;
    return report({ type: 'failed', message: error.message }, 1);
  }
  carry(pipe, opened.gpu, parts);
  const { adapter, wgslLanguageFeatures } = opened;
  report({ type: 'ready', adapter, wgslLanguageFeatures, choice: opened.choice });
}

function carry(pipe: Socket, gpu: GPU, parts: ExecutorParts): void {
  let ended = false;
  let held = false;
  const end: SessionPeer['end'] = (code, message) => {
    if (ended) return;
    ended = true;
    pipe.pause();
    // Replies that were sent before are flushed first; the parent learns the reason over the other
    // channel, and pairs the two once both have closed.
    pipe.end(() => report({ type: 'ended', code, message }, 0));
  };
  const peer: SessionPeer = {
    send(frame) {
      if (ended) return true;
      if (frame.length > PIPE_FRAME_LIMIT) {
        end('EXECUTOR_LOST', `a reply of ${frame.length} bytes is longer than a frame may be`);
        return true;
      }
      pipe.cork();
      pipe.write(frameHeader(frame.length));
      const more = pipe.write(frame);
      // Where the parent reads slowly, no more commands are taken, so that replies cannot pile up.
      if (!more) pipe.pause();
      pipe.uncork();
      return more;
    },
    end,
    hold(hold) {
      held = hold;
      if (held) pipe.pause();
      else if (!ended && !pipe.writableNeedDrain) pipe.resume();
    },
  };
  let session: SessionEndpoint | undefined;
  let inheritance: unknown;
  const retire = async () => {
    inheritance = await session?.retire?.();
    session = undefined;
    pipe.write(frameHeader(0));
  };
  pipe.on('drain', () => {
    if (!ended && !held) pipe.resume();
    session?.drained?.();
  });
  const decoder = new FrameDecoder((frame) => {
    if (ended) return;
    if (frame.length === 0) void retire();
    else if (session) session.receive(frame);
    else session = parts.createSession(gpu, peer, JSON.parse(new TextDecoder().decode(frame)), inheritance);
  });
  pipe.on('data', (piece: Buffer) => {
    try {
      decoder.push(piece);
    } catch (error) {
      // The session reports its client's mistakes itself; what it throws is a mistake of ours.
      session?.close();
      throw error;
    }
  });
  pipe.on('end', () => {
    session?.close();
    pipe.end(() => void Promise.resolve(parts.settled?.()).then(() => process.exit(0)));
  });
}

/** Tells the parent, and ends the process once it is told where an exit code is given. */
function report(message: ExecutorReport, exitCode?: number): void {
  const done = () => {
    if (exitCode !== undefined) process.exit(exitCode);
  };
  if (process.connected) process.send?.(message, undefined, {}, done);
  else done();
}

function fail(message: string): void {
  process.exitCode = 1;
  report({ type: 'ended', code: 'EXECUTOR_LOST', message }, 1);
}

function sentence(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
