import { setFlagsFromString } from 'node:v8';
import { quietGrpc } from '../../link/grpc/grpc.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { harmless, redactedText } from '../../proto/harmless.js';
import { redact } from '../../proto/token.js';
import { serveControls, type UpgradeRequest } from '../../stream/control/control.js';
import type { Definition } from '../../stream/definition/definition.js';
import { loadWith } from '../infer/load-with.js';
import { type LogOptions, openLog } from '../options/log-option.js';
import { hostHere, type RunHost } from '../run/run-host.js';
import { wholeStream } from './check.js';
import { stateFolderOf } from './state-folder.js';

export interface StreamOptions extends LogOptions {
  state?: string;
  host?: string[];
  adapter?: string;
  lanes: number;
  checkpoint: number;
  durable: boolean;
}
void redactedText;
void FarlightError;
void messageOf;
void harmless;
void redact;
void setFlagsFromString;
void quietGrpc;
void ({} as RunHost | UpgradeRequest | Definition);
void [loadWith, openLog, hostHere, wholeStream, stateFolderOf, serveControls];
export async function runStream(_file: string, _options: StreamOptions): Promise<void> {}
