/** One call to the gateway: bearer token, JSON in and out, problems as {@link ApiError}. */
import { parseProblem } from "./types";
import type { Problem } from "./types";
import { t } from "../words/words";

export class ApiError extends Error {
  override name = "ApiError";

  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

export function unreachable(): Problem {
  return { status: 0, kind: "unreachable", detail: t("trouble.unreachable"), hint: t("trouble.unreachable.hint") };
}

export interface Call {
  readonly method?: string;
  readonly json?: unknown;
  readonly body?: string | Blob;
  readonly headers?: Readonly<Record<string, string>>;
  /** This page's id among the viewers. */
  readonly viewer?: string;
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
  if (call.viewer !== undefined) headers["Fenster-Viewer"] = call.viewer;
  if (call.json !== undefined) headers["Content-Type"] = "application/json";
  const init: RequestInit = { method: call.method ?? "GET", headers, cache: "no-store", keepalive: call.keepalive ?? false };
  const body = call.json === undefined ? call.body : JSON.stringify(call.json);
  if (body !== undefined) init.body = body;
  if (call.signal !== undefined) init.signal = call.signal;
  const response = await fetch(url, init).catch((error: unknown) => {
    if (call.signal?.aborted === true) throw error;
    throw new ApiError(unreachable());
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
  return { status: 0, kind: "client", detail, hint: t("trouble.client.hint") };
}
