/** One call to the gateway: bearer token, JSON in and out, problems as {@link ApiError}. */
import { parseProblem } from "./types";
import type { Problem } from "./types";

export class ApiError extends Error {
  override name = "ApiError";

  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

export const UNREACHABLE: Problem = {
  status: 0,
  kind: "unreachable",
  detail: "The gateway does not answer.",
  hint: "Check that it runs and that this device is online.",
};

export interface Call {
  readonly method?: string;
  readonly json?: unknown;
  readonly body?: string | Blob;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Statuses besides 2xx that are no error. */
  readonly also?: readonly number[];
  /** Outlives the page: for the last word at leaving. */
  readonly keepalive?: boolean;
}

/** The response, when its status is 2xx. Throws ApiError; an abort throws its own AbortError. */
export async function request(url: string, bearer: string, call: Call = {}): Promise<Response> {
  const headers: Record<string, string> = { ...call.headers };
  if (bearer !== "") headers["Authorization"] = `Bearer ${bearer}`;
  if (call.json !== undefined) headers["Content-Type"] = "application/json";
  const init: RequestInit = { method: call.method ?? "GET", headers, cache: "no-store", keepalive: call.keepalive ?? false };
  const body = call.json === undefined ? call.body : JSON.stringify(call.json);
  if (body !== undefined) init.body = body;
  if (call.signal !== undefined) init.signal = call.signal;
  const response = await fetch(url, init).catch((error: unknown) => {
    if (call.signal?.aborted === true) throw error;
    throw new ApiError(UNREACHABLE);
  });
  if (!response.ok && call.also?.includes(response.status) !== true) throw new ApiError(parseProblem(response.status, await bodyOf(response)));
  return response;
}

async function bodyOf(response: Response): Promise<unknown> {
  // A proxy's error page is not JSON; the status says enough.
  return response.json().catch(() => null);
}

/** The problem that any thrown value stands for. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem;
  const detail = error instanceof Error ? error.message : String(error);
  return { status: 0, kind: "client", detail, hint: "Reload this page." };
}
