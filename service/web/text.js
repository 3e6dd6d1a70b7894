// Numbers and states as text.

// A probability 0..1 in percent. Never rounded to 0 or 100: the service sends six digits, so 0 and 1 are rounded values.
export function percent(probability) {
  if (probability < 0.001) return "< 0.1 %";
  if (probability > 0.999) return "> 99.9 %";
  return `${(probability * 100).toFixed(1)} %`;
}

// A threshold 0..1 in percent, without trailing zeros.
export const roundPercent = (share) => `${Number((share * 100).toFixed(1))} %`;

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

// The summary of a result in a tile: kind, short text, and a value if there is one.
export function summary(result) {
  if (!result || result.state === "waiting") return { kind: "waiting", text: "Waiting", value: "" };
  if (result.state === "running") return { kind: "running", text: "Classifying…", value: "" };
  if (result.state === "refused") return { kind: "refused", text: result.refusal.title, value: "" };
  const [best] = result.answer.predictions;
  if (result.answer.abstain) return { kind: "abstained", text: "Not sure", value: `${best.label}?` };
  return { kind: "answered", text: best.label, value: percent(best.probability) };
}

// Why the model abstains, in sentences.
export function abstention(answer, thresholds) {
  const [best] = answer.predictions;
  const guess = `Best guess: ${best.label}, ${percent(best.probability)}`;
  if (answer.abstain_reason === "out-of-distribution") {
    return `The frame shows too little of any plane, or is unlike the training frames: its probabilities are not reliable. ${guess}.`;
  }
  if (answer.abstain_reason === "color-flow") {
    return `Color flow covers the tissue; the model was trained on gray frames without color flow. ${guess}.`;
  }
  return `No plane is probable enough: the threshold is ${roundPercent(thresholds.min_probability)}. ${guess}.`;
}

export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return `${Math.round(seconds / 60)} min`;
}
