// A voice for the speech detector, made with the source-filter model: pulses of the vocal folds, filtered by
// a mouth that moves from vowel to vowel. It uses no outside randomness, so that every run hears the same
// samples.

// The first three formants (Hz) of a, i, o and e.
const VOWELS = [
  [730, 1090, 2440],
  [270, 2290, 3010],
  [570, 840, 2410],
  [530, 1840, 2480],
];
const BANDWIDTHS = [80, 100, 140];
const SYLLABLES_PER_SECOND = 4.5;

/** Silence with a little room noise. From a quarter to three quarters of the time, somebody speaks. */
export function synthesizeSpeech({ sampleRate, samples }) {
  const audio = new Float32Array(samples);
  const noise = noiseSource();
  const mouth = BANDWIDTHS.map(() => ({ before: 0, last: 0 }));
  let phase = 0;
  for (let n = 0; n < samples; n++) {
    const seconds = n / sampleRate;
    const syllable = seconds * SYLLABLES_PER_SECOND;
    const speaking = n >= samples * 0.25 && n < samples * 0.75;
    const loudness = speaking ? Math.sin(Math.PI * (syllable % 1)) ** 0.5 : 0;

    const pitch = 125 + 18 * Math.sin(2 * Math.PI * 2.2 * seconds) + 2 * noise();
    phase = (phase + pitch / sampleRate) % 1;
    let sound = loudness * (glottalFlow(phase) + 0.03 * noise());
    for (const [index, formant] of formantsAt(syllable).entries()) {
      sound = resonate(mouth[index], sound, formant, BANDWIDTHS[index], sampleRate);
    }
    audio[n] = 0.25 * sound + 0.0008 * noise();
  }
  return audio;
}

/** The slope of the air flow: the folds open slowly and close abruptly. */
function glottalFlow(phase) {
  if (phase < 0.4) return Math.sin((Math.PI * phase) / 0.4) * 0.4;
  if (phase < 0.56) return -Math.sin((Math.PI * (phase - 0.4)) / 0.16);
  return 0;
}

function formantsAt(syllable) {
  const from = VOWELS[Math.floor(syllable) % VOWELS.length];
  const to = VOWELS[(Math.floor(syllable) + 1) % VOWELS.length];
  return from.map((hertz, index) => hertz + (to[index] - hertz) * (syllable % 1));
}

/** Two poles at the formant, scaled so that a steady tone below it passes unchanged. */
function resonate(state, input, hertz, bandwidth, sampleRate) {
  const radius = Math.exp((-Math.PI * bandwidth) / sampleRate);
  const a1 = 2 * radius * Math.cos((2 * Math.PI * hertz) / sampleRate);
  const a2 = -radius * radius;
  const output = (1 - a1 - a2) * input + a1 * state.last + a2 * state.before;
  state.before = state.last;
  state.last = output;
  return output;
}

/** White noise from -1 to 1, made by a linear congruential generator. */
function noiseSource() {
  let seed = 1;
  return () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 31 - 1;
  };
}
