/** What a spec fails with where local Dawn deviates; a deviation that ends the process is not run at all. */
interface Known {
  readonly shows: RegExp | 'crash';
}

/**
 * Where local Dawn (npm `webgpu`) departs from the WebGPU and WebIDL specifications. Farlight follows
 * the specification there. A spec names the deviation that it meets; it fails when local begins to
 * conform, so that this list stays true.
 */
const known = {
  'bytes of a SharedArrayBuffer crash it': { shows: 'crash' },
  'setlikes have only has, keys and size': { shows: /is not a function/ },
  'a string is taken for a dictionary': { shows: /resolved with|nothing is thrown/ },
  'the label of defaultQueue is dropped': { shows: /expected '' to be 'the queue'/ },
  'numbers must be numbers': { shows: /TypeError: / },
  'a READ mapping can be written through': { shows: /expected \[ 9, 9 ] to deeply equal \[ 1, 2 ]/ },
  'a DataView is no source of bytes': { shows: /no possible types matched/ },
  'events are for an EventTarget behind the device': { shows: /the target is the device|false, true/ },
  'uncaptured errors come from inside the call': { shows: /expected \[ true ] to deeply equal \[ false ]/ },
  'messages is not a frozen array': { shows: /the same array: expected false/ },
  'required strings may be missing': { shows: /nothing is thrown/ },
  'null or undefined for a dictionary crashes it': { shows: 'crash' },
  'sequences must be arrays': { shows: /TypeError/ },
  'a wrong size of immediates is an error of the device': { shows: /nothing is thrown/ },
  'members are read in an order of its own': { shows: /expected \[ 'label', 'size'/ },
  'records take inherited names': { shows: /inher/ },
  'a fraction above minus one is out of range': { shows: /TypeError/ },
  'booleans must be booleans': { shows: /TypeError/ },
  'a symbol for a string crashes it': { shows: 'crash' },
  'an exception from inside a conversion crashes it': { shows: 'crash' },
  'a foreign object makes a promise method throw': { shows: /Illegal invocation/ },
  'an attribute of a foreign object throws an Error': { shows: /expected Error: Invalid argument/ },
  'attributes that hold objects are properties of their own': {
    shows: /GPU.wgslLanguageFeatures: expected undefined|expected function to throw/,
  },
  'methods are as its binding makes them': { shows: /GPU\w+\.(mapAsync|beginRenderPass): expected/ },
  'constructors take any value': { shows: /nothing is thrown/ },
  'GPUPipelineError is tagged as a DOMException': { shows: /expected '\[object DOMException]'/ },
  'namespaces of constants are classes': { shows: /writable: true|expected '\[object Function]'/ },
  'a handler must be a function': { shows: /value is not a Function/ },
  'no image can be copied': {
    shows: /no overload matched for copyExternalImageToTexture|to be an instance of DOMException/,
  },
  'numbers need not be finite': { shows: /nothing is thrown/ },
  'a clamped number is cut, not rounded': {
    shows: /expected undefined to be an instance|expected null to be/,
  },
  'coordinates in a sequence have no range': { shows: /nothing is thrown/ },
  'a mapping that fails is settled late': { shows: /expected \[ 'done', 'map' ] to deeply equal/ },
  'destroying a device leaves mappings pending': { shows: /expected 'pending' to be 'unmapped'/ },
  'a mapping of a lost device outlives unmap': { shows: /nothing is thrown/ },
  'sequences of coordinates have any length': { shows: /nothing is thrown|expected Error: invalid value/ },
} satisfies Record<string, Known>;

export type Deviation = keyof typeof known;
export const knownLocalDeviations: Readonly<Record<Deviation, Known>> = known;
