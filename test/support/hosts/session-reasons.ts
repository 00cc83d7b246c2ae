// For test files whose sessions end in every way: each end that a host of this process notes has to say why, and each
// session that began has to end. It is looked at when the file's other hooks have closed its hosts.
import { afterAll, expect } from 'vitest';
import { SESSION_END_CODES } from '#farlight/proto/session/session-end.js';
import { SessionLog } from '#farlight/server/observatory/session-log.js';

const opened = new Set<SessionLog>();
const ends: { code: string; message: string }[] = [];
const prototype = SessionLog.prototype;
const before = { opened: prototype.opened, ended: prototype.ended };

prototype.opened = function (adapter) {
  opened.add(this);
  before.opened.call(this, adapter);
};
prototype.ended = function (end) {
  opened.delete(this);
  ends.push(end);
  before.ended.call(this, end);
};

afterAll(() => {
  Object.assign(prototype, before);
  for (const { code, message } of ends) {
    expect(['CLOSED', ...SESSION_END_CODES]).toContain(code);
    expect(message).toMatch(/^\S.{9,}/);
  }
  expect(opened.size, 'sessions that have not ended').toBe(0);
});
