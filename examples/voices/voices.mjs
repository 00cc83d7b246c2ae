// The functions of the example. Each gets its inputs and its state, and returns its outputs and its new state.

/** Puts the last samples of the record before in front, as the model needs them. */
export function frame({ samples, tail }) {
  const framed = new Float32Array(tail.data.length + samples.data.length);
  framed.set(tail.data);
  framed.set(samples.data, tail.data.length);
  return {
    framed: { shape: [1, framed.length], data: framed },
    tail: { shape: [1, tail.data.length], data: framed.slice(-tail.data.length) },
  };
}

/** Says when somebody begins to speak, and when they have ended. */
export function decide({ probability, speaking }) {
  return events(probability.data[0], speaking.data[0], { begins: 0.5, ends: 0.35 });
}

/** The same, for a noisy room: only a voice that is clear begins. */
export function decideClearly({ probability, speaking }) {
  return events(probability.data[0], speaking.data[0], { begins: 0.8, ends: 0.35 });
}

function events(probability, speaking, { begins, ends }) {
  const now = speaking ? probability >= ends : probability >= begins;
  // A tensor without rows is no output.
  const said = now === Boolean(speaking) ? [] : [now ? 'begins' : 'ends'];
  return {
    event: { datatype: 'BYTES', shape: [said.length], data: said },
    speaking: { data: Uint8Array.of(now ? 1 : 0) },
  };
}
