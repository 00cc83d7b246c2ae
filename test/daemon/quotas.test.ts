import { describe, expect, it } from 'vitest';
import { LIMITS } from '#farlight/proto/wire/limits.js';
import { type Buffers, Quotas } from '#farlight/server/daemon/tenants/quotas.js';

const MIB = 2 ** 20;

/** Opens sessions of a tenant until one is refused, or `most` are open. */
function fill(quotas: Quotas, tenant: string, most = 1000) {
  const open: Buffers[] = [];
  for (;;) {
    const next = quotas.admit(tenant, open);
    if ('code' in next || open.length === most) return { open, refusal: next };
    open.push(next);
  }
}

describe('a tenant', () => {
  it('without limits may open any number of sessions, with full buffers', () => {
    const { open } = fill(new Quotas({}), 'a', 100);
    expect(open).toHaveLength(100);
    expect(open[99]).toEqual({ commands: LIMITS.windowBytes, replies: LIMITS.windowBytes });
  });

  it('may open a limited number of sessions, and learns how to get more', () => {
    const { open, refusal } = fill(new Quotas({ sessions: 3 }), 'alice');
    expect(open).toHaveLength(3);
    expect(refusal).toEqual({
      code: 'BUSY',
      message: expect.stringMatching(/alice may have 3 open sessions.*end one.*--max-sessions/),
    });
  });

  it('never exceeds its bytes in flight, and each session has at least a frame each way', () => {
    for (const inFlight of [2 * MIB, 5 * MIB, 64 * MIB, 100 * MIB, 1024 * MIB]) {
      const { open, refusal } = fill(new Quotas({ inFlight }), 'a');
      const sum = open.reduce((total, { commands, replies }) => total + commands + replies, 0);
      expect(sum).toBeLessThanOrEqual(inFlight);
      expect(open.length).toBeGreaterThan(0);
      for (const { commands, replies } of open) {
        expect(Math.min(commands, replies)).toBeGreaterThanOrEqual(LIMITS.frameBytes);
      }
      expect(refusal).toMatchObject({ code: 'BUSY', message: expect.stringMatching(/--in-flight/) });
    }
  });

  it('gives its first session full buffers, where that leaves as much for others', () => {
    const { open } = fill(new Quotas({ inFlight: 64 * MIB }), 'a');
    expect(open[0]).toEqual({ commands: LIMITS.windowBytes, replies: LIMITS.windowBytes });
  });

  it('has its own limits in place of those for all tenants, each limit by itself', () => {
    const quotas = new Quotas({ sessions: 3, gpuMemory: 100 }, (tenant) =>
      tenant === 'b' ? { sessions: 5, gpuShare: 2 } : {},
    );
    expect(quotas.of('a')).toEqual({ sessions: 3, gpuMemory: 100, gpuShare: 1 });
    expect(quotas.of('b')).toEqual({ sessions: 5, gpuMemory: 100, gpuShare: 2 });
  });
});
