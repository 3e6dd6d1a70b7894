// Numbers and states as a person reads them.

// A probability 0..1 in per cent. It never rounds to a certainty: the service sends six digits, and so may send 0 or 1.
export function percent(probability) {
  if (probability < 0.001) return "< 0.1 %";
  if (probability > 0.999) return "> 99.9 %";
  return `${(probability * 100).toFixed(1)} %`;
}

// A threshold 0..1 in per cent, without digits that say nothing.
export const roundPercent = (share) => `${Number((share * 100).toFixed(1))} %`;

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

// How a reading looks in a tile: its kind, a short text, and a figure where there is one.
export function summary(reading) {
  if (!reading || reading.state === "waiting") return { kind: "waiting", text: "Waiting", figure: "" };
  if (reading.state === "asking") return { kind: "asking", text: "Reading…", figure: "" };
  if (reading.state === "refused") return { kind: "refused", text: reading.refusal.title, figure: "" };
  const [best] = reading.answer.predictions;
  if (reading.answer.abstain) return { kind: "abstained", text: "Not sure", figure: `${best.label}?` };
  return { kind: "answered", text: best.label, figure: percent(best.probability) };
}

// Why the model gives no answer, as a sentence.
export function abstention(answer, thresholds) {
  const [best] = answer.predictions;
  const guess = `Its best guess would be ${best.label}, at ${percent(best.probability)}`;
  if (answer.abstain_reason === "out-of-distribution") {
    return `The frame is unlike those that the model was trained on, so its probabilities mean little. ${guess}.`;
  }
  if (answer.abstain_reason === "color-flow") {
    return `Color flow is painted over the tissue, and the model was trained on gray frames without it. ${guess}.`;
  }
  return `No plane is probable enough. ${guess}; it answers from ${roundPercent(thresholds.min_probability)}.`;
}

export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return `${Math.round(seconds / 60)} min`;
}
