import FakeTimers from '@sinonjs/fake-timers';
import { compute } from './compute.js';

// Everything that they can replace, process.nextTick and performance too, and no time passes.
const toFake = Object.keys(FakeTimers.timers).filter((name) => name in globalThis);
FakeTimers.install({ now: 0, toFake: [...toFake, 'hrtime', 'nextTick', 'performance', 'queueMicrotask'] });
if (Date.now() !== 0 || performance.now() !== 0) throw new Error('the clocks are real');
console.log(JSON.stringify(await compute(navigator.gpu)));
