/** The management calls that the list page makes, with the API key. */
import { request } from "../api/http";
import { isRecord, parseSession, parseSessions, text } from "../api/types";
import type { Role, SessionInfo } from "../api/types";
import { sessionUrl } from "../api/watch";
import { parseHost } from "./host_info";
import type { HostInfo } from "./host_info";

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Created {
  readonly session: SessionInfo | null;
  /** Path and fragment of the viewer page. */
  readonly viewerUrl: string;
}

export interface Thumbnail {
  /** Names this picture in a later call. */
  readonly tag: string;
  readonly picture: Blob;
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

  /** `ttlS`: how long it lives, in s; null is the gateway's default. */
  async create(display: Size | null, template: string | null, ttlS: number | null): Promise<Created> {
    const json = {
      ...(display === null ? {} : { display }),
      ...(template === null ? {} : { template }),
      ...(ttlS === null ? {} : { ttl_s: ttlS }),
    };
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

  /** Answers when it is under way. */
  async resume(id: string): Promise<void> {
    await request(`${sessionUrl(id)}/resume`, this.key, { method: "POST" });
  }

  /** Let it live so long from now on, in s; null is for ever. When it then ends, Unix time in ms. */
  async live(id: string, ttlS: number | null): Promise<number | null> {
    const response = await request(sessionUrl(id), this.key, { method: "PATCH", json: { ttl_s: ttlS } });
    return parseSession(await response.json())?.endsAt ?? null;
  }

  /** Answers when sessions can be started from it. */
  async saveTemplate(id: string, name: string): Promise<void> {
    await request(`${sessionUrl(id)}/template`, this.key, { method: "POST", json: { name } });
  }

  async host(signal: AbortSignal): Promise<HostInfo | null> {
    return parseHost(await (await request("/v1/host", this.key, { signal })).json());
  }

  /** A small picture of the desktop; null while it is still the one that `tag` names. */
  async thumbnail(id: string, widthPx: number, tag: string, signal: AbortSignal): Promise<Thumbnail | null> {
    const url = `${sessionUrl(id)}/screenshot?format=jpeg&width=${widthPx}`;
    const headers: Record<string, string> = tag === "" ? {} : { "If-None-Match": tag };
    const response = await request(url, this.key, { headers, signal, also: [304] });
    if (response.status === 304) return null;
    return { tag: response.headers.get("ETag") ?? "", picture: await response.blob() };
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
