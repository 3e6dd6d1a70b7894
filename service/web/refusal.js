// Why a request has no answer: the service's problem document, or a problem of the connection or the file.

const MAX_PAUSE_S = 60;
const NOT_READ = new Set([0, 401, 408, 429, 502, 503, 504]);

// A request without an answer: the service's problem document, or a problem of the connection or the file.
export class Refusal extends Error {
  constructor({ status = 0, code = "", title, detail, requestId = "", pause = null }) {
    super(detail);
    Object.assign(this, { status, code, title, detail, requestId, pause });
  }

  // Whether the frame was not read: no connection, no key, a proxy or a busy service in between. Others are final.
  get worthRetrying() {
    return NOT_READ.has(this.status);
  }
}

export const stopped = () =>
  new Refusal({ code: "stopped", title: "Stopped", detail: "Classification was stopped before this frame." });

export const endedEarly = () =>
  new Refusal({ code: "cut-short", title: "Not classified", detail: "The service’s reply ended before this frame." });

export const unreachable = () =>
  new Refusal({
    code: "unreachable",
    title: "No connection",
    detail: "The service cannot be reached. Check that it is running and that this computer is connected to it.",
  });

// Return the pause in seconds of a Retry-After header, which holds seconds or a date (RFC 9110, section 10.2.3).
export function parseRetryAfter(header, now = Date.now()) {
  const seconds = /^\s*\d+\s*$/.test(header ?? "") ? Number(header) : (Date.parse(header ?? "") - now) / 1000;
  return Number.isFinite(seconds) ? Math.min(MAX_PAUSE_S, Math.max(0, seconds)) : 1;
}

// Convert a problem document (RFC 9457), from a reply or from a line of a batch reply.
export function toRefusal(problem, status = problem.status) {
  return new Refusal({
    status,
    code: problem.code ?? "",
    title: problem.title ?? `Refused (${status})`,
    detail: problem.detail ?? "The service gave no reason.",
    requestId: problem.request_id ?? "",
  });
}

export async function readRefusal(reply) {
  const refusal = toRefusal(await reply.json().catch(() => ({})), reply.status);
  if (reply.status === 503) refusal.pause = parseRetryAfter(reply.headers.get("Retry-After"));
  return refusal;
}

// Return the refusal that an error is, or one for any other error.
export function fromError(error) {
  if (error instanceof Refusal) return error;
  return new Refusal({ code: "page-fault", title: "Not classified", detail: "The page could not read the service’s reply." });
}

export const fileUnreadable = () =>
  new Refusal({
    code: "unreadable-file",
    title: "File not readable",
    detail: "The browser can no longer read this file. It may have been moved or changed. Add it again.",
  });
