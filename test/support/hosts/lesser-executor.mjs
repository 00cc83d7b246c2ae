// Farlight's executor, whose adapter offers less than it has: FARLIGHT_TEST_LESS names a feature to leave out, or a limit to
// halve.
import { create } from 'webgpu';

const less = process.env.FARLIGHT_TEST_LESS;
// Dawn crashes where a GPU is collected.
globalThis.first = create(['backend=null']);
const prototype = Object.getPrototypeOf(globalThis.first);
const { requestAdapter } = prototype;
prototype.requestAdapter = async function (options) {
  const adapter = await requestAdapter.call(this, options);
  if (!adapter || !less) return adapter;
  const { features, limits } = adapter;
  if (less in limits) {
    const names = Object.getOwnPropertyNames(Object.getPrototypeOf(limits));
    const all = Object.fromEntries(names.map((name) => [name, limits[name]]));
    Object.defineProperty(adapter, 'limits', { value: { ...all, [less]: all[less] / 2 } });
  } else {
    Object.defineProperty(adapter, 'features', {
      value: new Set([...features].filter((each) => each !== less)),
    });
  }
  return adapter;
};
await import('#farlight/server/executor/main.js');
