import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { type TestHost, testHost } from '#farlight/testing/index.js';
import { runLocally, runThroughFarlight } from '../support/programs/program.js';

let host: TestHost;

beforeAll(async () => {
  host = await testHost({ adapter: 'software', spares: 2 });
});

afterAll(() => host.close());

/** A model on the software GPU compiles for tens of seconds. */
const MINUTES = 5 * 60_000;

// What is sent and awaited does not depend on the GPU, and the null adapter takes no time for an inference.
it(
  'a steady inference of MoveNet waits once and sends at most 12 messages',
  async () => {
    const idle = await testHost({ adapter: 'null', spares: 0 });
    onTestFinished(() => idle.close());
    const { ledger } = await runThroughFarlight(idle.url, 'movenet', '--runs', '4');
    const steady = ledger.at(-1);
    expect(steady?.waits).toBe(1);
    expect(steady?.messagesSent).toBeLessThanOrEqual(12);
    expect(steady?.apiCalls).toBeGreaterThan(800);
  },
  MINUTES,
);

// MoveNet agrees with the CPU in a page (pages.test.ts).
it(
  'two programs at once on one host get their own right results, and the same bits again: BlazeFace on TensorFlow.js, PaddleOCR on ONNX Runtime',
  async () => {
    const [faces, lines] = await Promise.all([
      runThroughFarlight(host.url, 'blazeface', '--runs', '2', '--reference'),
      runThroughFarlight(host.url, 'paddle-cls', '--reference'),
    ]);
    expect(faces.reference?.error).toBeLessThan(1e-3);
    expect(faces.repeats).toBe(true);
    expect(lines.reference?.error).toBeLessThan(1e-3);
    expect(lines.digest).toMatchObject([{ degrees: '0' }, { degrees: '180' }]);
  },
  MINUTES,
);

// In the layout that is right, the recipe of ONNX Runtime Web runs Silero (libraries.test.ts).
it(
  'Silero on ONNX Runtime gives the bits of local Dawn, right or wrong, and waits only as often as the program',
  async () => {
    const through = await runThroughFarlight(host.url, 'silero', '--layout', 'NHWC', '--runs', '2');
    const local = await runLocally('silero', '--layout', 'NHWC', '--runs', '2');
    expect(through.outputs).toEqual(local.outputs);
    // One run is 16 inferences, each with four reads one after the other. Some come with the reply before.
    const { waits = 0, waitsSaved = 0 } = through.ledger.at(-1) ?? {};
    expect(waits + waitsSaved).toBe(16 * 4);
  },
  MINUTES,
);
