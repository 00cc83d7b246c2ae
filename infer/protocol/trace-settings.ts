import { InferenceError, invalid } from '../service/service.js';
import { quoted } from './tensor-coding.js';

/** The settings of Triton's trace extension, as they are here: the server samples no requests by itself. */
const SETTINGS = {
  trace_file: '',
  trace_level: ['OFF'],
  trace_rate: '1',
  trace_count: '-1',
  log_frequency: '0',
} as const;

/** The values of a setting. None: back to the value of the server. */
export type SettingValues = readonly string[];

/**
 * The settings of tracing. A change that changes nothing is taken, so that clients can switch tracing off.
 *
 * @param changes by the names of the settings.
 * @throws InferenceError invalid, unsupported
 */
export function traceSettings(changes: Readonly<Record<string, SettingValues>>): typeof SETTINGS {
  for (const [name, values] of Object.entries(changes)) {
    if (!Object.hasOwn(SETTINGS, name)) {
      throw invalid(
        `there is no trace setting ${quoted(name)}; there are ${Object.keys(SETTINGS).join(', ')}`,
      );
    }
    const now = [SETTINGS[name as keyof typeof SETTINGS]].flat();
    if (values.length === 0 || values.join() === now.join()) continue;
    throw new InferenceError(
      'unsupported',
      `${name} cannot be set: a client that wants a request traced sends a traceparent with it`,
    );
  }
  return SETTINGS;
}

/** The values of settings in JSON: a string, several, or null. @throws InferenceError invalid */
export function settingsOf(json: Readonly<Record<string, unknown>>): Record<string, SettingValues> {
  const settings: Record<string, SettingValues> = Object.create(null);
  for (const [name, value] of Object.entries(json)) {
    const values = value === null ? [] : [value].flat();
    if (!values.every((each) => typeof each === 'string')) {
      throw invalid(`the trace setting ${quoted(name)} is a string, several of them, or null`);
    }
    settings[name] = values;
  }
  return settings;
}
