// Numbers and states as text, in the words of service/analysis/text.py.

// A frame may show either of two planes or sub-planes that differ by less than this probability.
export const CLOSE = 0.2;

// Why a person should check a frame or a loop.
export const REASONS = {
  "color-flow": "Color flow",
  "out-of-distribution": "Unknown view",
  uncertain: "Between two planes",
  close: "A second plane is close",
  "no-plane": "No plane in this loop",
};

// What became of an item of a protocol.
export const ITEM_STATES = {
  fulfilled: "Fulfilled",
  doubtful: "Only doubtful frames",
  missing: "Missing",
  "not-read-yet": "Not read yet",
};

// A probability 0..1 in percent, never as 0 % or 100 %, because a model is never certain.
export function percent(probability) {
  if (probability < 0.001) return "< 0.1 %";
  if (probability > 0.999) return "> 99.9 %";
  return `${(probability * 100).toFixed(1)} %`;
}

// Whether evidence of this strength 0..1, next to that for the most probable plane, is weak.
export const isWeak = (strength) => strength < 0.5;

// A threshold 0..1 in percent, without trailing zeros.
export const roundPercent = (share) => `${Number((share * 100).toFixed(1))} %`;

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

export const leftText = (left, total) => `${left} of ${plural(total, "file")} left`;

// Why a segment or a loop names no plane.
export const unnamedText = (abstained, frames) =>
  (2 * abstained > frames ? `${abstained} of ${plural(frames, "frame")} not sure` : "the frames do not agree");

export function subPlaneText({ sub_plane: subPlane, sub_plane_reason: reason }) {
  return reason === "close" ? "Not sure which sub-plane" : subPlane?.label ?? "";
}

// Whether the probabilities mean something; where they do not, no plane is named.
export const hasGuess = ({ abstain_reason: reason }) => !reason || reason === "uncertain";

// The summary of a result in a tile: kind, short text, and a value if there is one.
export function summary(result) {
  if (!result || result.state === "waiting") return { kind: "waiting", text: "Waiting", value: "" };
  if (result.state === "running") return { kind: "running", text: "Classifying…", value: "" };
  if (result.state === "refused") return { kind: "refused", text: result.refusal.title, value: "" };
  const { answer } = result;
  const [best] = answer.predictions;
  if (!answer.abstain) return { kind: "answered", text: best.label, value: percent(best.probability) };
  return { kind: "abstained", text: REASONS[answer.abstain_reason], value: hasGuess(answer) ? `${best.label}?` : "" };
}

// Why the model abstains, in sentences.
export function abstention({ abstain_reason: reason, predictions }, thresholds) {
  if (reason === "out-of-distribution") return "The frame shows too little of any plane, or is unlike the training frames: the model names no plane.";
  if (reason === "color-flow") return "Color flow covers the tissue. The model learned from gray frames only, so it names no plane.";
  const guesses = predictions.slice(0, 2).map(({ label, probability }) => `${label}, ${percent(probability)}`).join(", or ");
  return `No plane is probable enough: the threshold is ${roundPercent(thresholds.min_probability)}. Perhaps ${guesses}.`;
}

export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return `${Math.round(seconds / 60)} min`;
}

// Bytes in hexadecimal.
export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
