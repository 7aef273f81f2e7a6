/** The management calls that the list page makes, with the API key. */
import { request } from "../api/http";
import { isRecord, parseSession, parseSessions, text } from "../api/types";
import type { Role, SessionInfo } from "../api/types";
import { sessionUrl } from "../api/watch";

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Created {
  readonly session: SessionInfo | null;
  /** Path and fragment of the viewer page. */
  readonly viewerUrl: string;
}

/** Every call throws ApiError. */
export class Gateway {
  constructor(private readonly key: string) {}

  async list(signal: AbortSignal): Promise<SessionInfo[]> {
    return parseSessions(await (await request("/v1/sessions", this.key, { signal })).json());
  }

  async templates(): Promise<string[]> {
    const body: unknown = await (await request("/v1/templates", this.key)).json();
    const items = isRecord(body) ? body["templates"] : null;
    if (!Array.isArray(items)) return [];
    return items.map((item) => (isRecord(item) ? text(item["name"]) : "")).filter((name) => name !== "");
  }

  async create(display: Size | null, template: string | null): Promise<Created> {
    const json = { ...(display === null ? {} : { display }), ...(template === null ? {} : { template }) };
    const body: unknown = await (await request("/v1/sessions", this.key, { method: "POST", json })).json();
    return createdOf(body);
  }

  /** A fresh link to the viewer page, in this role. */
  async link(id: string, role: Role): Promise<string> {
    const response = await request(`${sessionUrl(id)}/tokens`, this.key, { method: "POST", json: { role } });
    return viewerUrlOf(await response.json());
  }

  /** Answers when it is under way. */
  async suspend(id: string): Promise<void> {
    await request(`${sessionUrl(id)}/suspend`, this.key, { method: "POST" });
  }

  /** A new session that goes on from where this one is. */
  async fork(id: string): Promise<Created> {
    const body: unknown = await (await request(`${sessionUrl(id)}/fork`, this.key, { method: "POST" })).json();
    return createdOf(body);
  }

  /** Answers when nothing of the session is left, which takes a moment. */
  async destroy(id: string): Promise<void> {
    await request(sessionUrl(id), this.key, { method: "DELETE" });
  }
}

function createdOf(body: unknown): Created {
  return { session: parseSession(body), viewerUrl: viewerUrlOf(body) };
}

function viewerUrlOf(body: unknown): string {
  return isRecord(body) ? text(body["viewer_url"], "/") : "/";
}
