import { EventEmitter } from 'node:events';
import { beforeEach, describe, expect, it } from 'vitest';
import { HandedConnections } from '#farlight/link/executor/handed-connections.js';

class FakeConnection extends EventEmitter {
  isOpen = true;

  destroy(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.emit('close');
  }
}

describe('connections on their way to another process', () => {
  let sent: number[];
  let handed: HandedConnections<FakeConnection>;
  const offer = (attempt: number) => {
    const connection = new FakeConnection();
    handed.offer(connection, attempt, () => {
      handed.add(connection);
      sent.push(attempt);
    });
    return connection;
  };
  beforeEach(() => {
    sent = [];
    handed = new HandedConnections();
  });

  it('a session has at most two connections on their way while the process takes none, and the newest is next', () => {
    const all = [
      offer(1),
      ...[5, 400, 7, 399].map(offer),
      ...Array.from({ length: 100 }, (_, at) => offer(10 + at)),
    ];
    expect(all.filter(({ isOpen }) => isOpen)).toHaveLength(2);
    expect(sent).toEqual([1]);
    handed.taken()?.destroy();
    expect(sent).toEqual([1, 400]);
    handed.taken()?.destroy();
    expect(sent).toEqual([1, 400]);
    expect(all.some(({ isOpen }) => isOpen)).toBe(false);
  });

  it('a connection is handed over at once if the process has taken the earlier ones', () => {
    offer(1);
    handed.taken()?.destroy();
    offer(2);
    expect(sent).toEqual([1, 2]);
  });

  it('a connection is not handed over if its client has left meanwhile', () => {
    offer(1);
    offer(2).destroy();
    handed.taken()?.destroy();
    expect(sent).toEqual([1]);
    offer(3);
    expect(sent).toEqual([1, 3]);
  });

  it('connections on their way are closed when the process is gone', () => {
    const all = [offer(1), offer(2)];
    handed.close();
    expect(all.some(({ isOpen }) => isOpen)).toBe(false);
  });
});
