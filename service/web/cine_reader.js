// Read a loop: which plane it shows when, and where shots are cut. The rules and numbers of service/analysis/cine.py.

export const RADIUS = 2; // neighbors on either side of a frame that its average includes
const SIDE = 8; // cells per side of a signature
const SAME_SHOT = 0.75;
const DENSE_PART = 10; // frames
const FLAT = 1; // standard deviation in gray levels

// Return the signature of gray pixels, of length 1; zeros where they are flat.
export function shotSignature(gray, width, height) {
  const cells = areaAverage(gray, width, height);
  const mean = sum(cells) / cells.length;
  const signature = cells.map((cell) => cell - mean);
  const length = Math.sqrt(sum(signature.map((value) => value * value)));
  return signature.map((value) => (length > FLAT * SIDE ? value / length : 0));
}

export function isCut(before, after) {
  if (!before.some(Boolean) && !after.some(Boolean)) return false;
  return sum(before.map((value, cell) => value * after[cell])) < SAME_SHOT;
}

// Read `frames`, each {probabilities, votes, signature}: the probabilities of all planes, in the model's order, and whether
// the model answers. Returns `cuts`, the first frames of shots; for each frame its `smoothed` probabilities and the number
// of its plane in `planes`, -1 for none; `segments` {start, end, plane, confidence, frames, abstained}; and `best` by plane.
export function readCine(frames) {
  const starts = frames.map((_, at) => at).filter((at) => !at || isCut(frames[at - 1].signature, frames[at].signature));
  const smoothed = starts.flatMap((start, shot) => smooth(frames.slice(start, starts[shot + 1] ?? frames.length)));
  const named = smoothed.map((row) => (row.some(Boolean) ? largest(row) : -1));
  const own = frames.map(({ probabilities }) => largest(probabilities));
  const planes = supported(frames, named, own, starts);
  return { cuts: starts.slice(1), smoothed, planes, segments: segmentsOf(frames, planes, smoothed, starts), best: bestOf(frames, planes, smoothed, own) };
}

function smooth(shot) {
  return shot.map((_, at) => {
    const voting = shot.slice(Math.max(0, at - RADIUS), at + RADIUS + 1).filter(({ votes }) => votes);
    return shot[at].probabilities.map((__, plane) => (voting.length ? sum(voting.map((each) => each.probabilities[plane])) / voting.length : 0));
  });
}

// Start and end of each run of equal planes in one shot.
function spansOf(planes, starts) {
  const edges = planes.map((_, at) => at).filter((at) => starts.includes(at) || (at && planes[at] !== planes[at - 1]));
  return edges.map((start, run) => [start, edges[run + 1] ?? planes.length]);
}

// A run whose frames do not support its plane together names none, except in its dense parts.
function supported(frames, named, own, starts) {
  const planes = [...named];
  for (const [start, end] of spansOf(named, starts)) {
    const isSupported = (from, to) => {
      const voting = range(from, to).filter((at) => frames[at].votes);
      const agreed = voting.filter((at) => own[at] === named[start]);
      return 2 * voting.length >= to - from && 2 * agreed.length > voting.length;
    };
    if (named[start] < 0 || isSupported(start, end)) continue;
    planes.fill(-1, start, end);
    for (const [from, to] of denseParts(frames, start, end)) if (isSupported(from, to)) planes.fill(named[start], from, to);
  }
  return planes;
}

function denseParts(frames, start, end) {
  const dense = range(start, end).map((at) => {
    const near = range(Math.max(start, at - RADIUS), Math.min(end, at + RADIUS + 1));
    return 2 * near.filter((each) => frames[each].votes).length >= near.length;
  });
  const parts = [];
  for (let at = 0, first = 0; at <= dense.length; at += 1) {
    if (dense[at]) continue;
    if (at - first >= DENSE_PART) parts.push([start + first, start + at]);
    first = at + 1;
  }
  return parts;
}

function segmentsOf(frames, planes, smoothed, starts) {
  return spansOf(planes, starts).map(([start, end]) => {
    const plane = planes[start];
    const confidence = plane < 0 ? null : sum(smoothed.slice(start, end).map((row) => row[plane])) / (end - start);
    return { start, end: end - 1, plane, confidence, frames: end - start, abstained: frames.slice(start, end).filter(({ votes }) => !votes).length };
  });
}

// The most probable frame of each plane, among frames whose neighbors agree with them; the first of equal ones.
function bestOf(frames, planes, smoothed, own) {
  const best = new Map();
  frames.forEach(({ votes, probabilities }, at) => {
    const plane = planes[at];
    if (!votes || plane < 0 || own[at] !== plane) return;
    const before = best.get(plane);
    const better = before === undefined || probabilities[plane] > frames[before].probabilities[plane]
      || (probabilities[plane] === frames[before].probabilities[plane] && smoothed[at][plane] > smoothed[before][plane]);
    if (better) best.set(plane, at);
  });
  return best;
}

// The means of 8 x 8 cells, in gray levels. The picture is halved as often as possible first, as service/imaging/overlay.py
// does; a halving drops the last row or column of an odd number.
function areaAverage(gray, width, height) {
  let picture = { gray, width, height };
  while (picture.height >= 2 * SIDE && picture.width >= 2 * SIDE) {
    const [columns, rows] = [Math.floor(picture.width / 2), Math.floor(picture.height / 2)];
    picture = { gray: average(picture, columns, rows, 2, 2), width: columns, height: rows };
  }
  return average(picture, SIDE, SIDE, picture.width / SIDE, picture.height / SIDE);
}

// The rounded means of `columns` x `rows` cells; a pixel on an edge counts for both cells by its parts.
function average({ gray, width, height }, columns, rows, stepX, stepY) {
  const [across, down] = [overlaps(width, columns, stepX), overlaps(height, rows, stepY)];
  return down.flatMap((high) => across.map((wide) => {
    let total = 0;
    for (const [y, tall] of high) for (const [x, broad] of wide) total += gray[y * width + x] * tall * broad;
    return Math.round(total / (stepX * stepY));
  }));
}

// For each cell, the pixels [index, part] that it covers.
function overlaps(length, cells, step) {
  return range(0, cells).map((cell) => {
    const [from, to] = [cell * step, (cell + 1) * step];
    return range(Math.floor(from), Math.min(length, Math.ceil(to))).map((at) => [at, Math.min(at + 1, to) - Math.max(at, from)]);
  });
}

const range = (from, to) => Array.from({ length: Math.max(0, to - from) }, (_, at) => from + at);
const sum = (values) => values.reduce((total, value) => total + value, 0);
const largest = (values) => values.indexOf(Math.max(...values));
