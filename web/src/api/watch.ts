/** Following one session: its state at once, then each change as the gateway pushes it. */
import { ApiError, request } from "./http";
import { EventParser } from "./sse";
import { parseSession } from "./types";
import type { Problem, SessionInfo } from "./types";

/** Without a byte for this long the stream is dead, in ms; the gateway sends a comment far more often. */
const SILENCE_MS = 45_000;

const NOT_A_SESSION: Problem = {
  status: 200,
  kind: "bad-answer",
  detail: "The gateway's answer is not a session.",
  hint: "Reload this page: it may be older than the gateway.",
};

export function sessionUrl(id: string): string {
  return `/v1/sessions/${encodeURIComponent(id)}`;
}

/**
 * Reads until the stream ends, which is not an error; throws ApiError, or AbortError when `signal` fires.
 *
 * Without `stream` the state is asked for once. Asked again and again, as the machine does, that is polling.
 */
export async function watchSession(
  id: string,
  token: string,
  stream: boolean,
  signal: AbortSignal,
  heard: (info: SessionInfo) => void,
): Promise<void> {
  const first = parseSession(await (await request(sessionUrl(id), token, { signal })).json());
  if (first === null) throw new ApiError(NOT_A_SESSION);
  heard(first);
  if (!stream) return;

  const silence = new AbortController();
  const response = await request(`${sessionUrl(id)}/events`, token, {
    headers: { Accept: "text/event-stream" },
    signal: AbortSignal.any([signal, silence.signal]),
  });
  if (response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new EventParser();
  for (;;) {
    const timer = setTimeout(() => {
      silence.abort();
    }, SILENCE_MS);
    const { done, value } = await reader.read().finally(() => {
      clearTimeout(timer);
    });
    if (done) return;
    for (const event of parser.feed(value)) {
      const info = event.event === "state" ? parseEvent(event.data) : null;
      if (info !== null) heard(info);
    }
  }
}

function parseEvent(data: string): SessionInfo | null {
  try {
    return parseSession(JSON.parse(data));
  } catch {
    return null;
  }
}
