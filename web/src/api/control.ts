/** The calls of the viewer who controls, or wants to. */
import type { Extent } from "../input/geometry";
import type { Access } from "../session/runner";
import { request } from "./http";
import { sessionUrl } from "./watch";

export type Wish = "request" | "grant" | "deny" | "release";

/** `name`: of the viewer whose request is granted or denied. Throws ApiError. */
export async function postControl(access: Access, wish: Wish, name: string | null = null): Promise<void> {
  const json = name === null ? { action: wish } : { action: wish, viewer: name };
  await request(`${sessionUrl(access.id)}/control`, access.token, { method: "POST", json, viewer: access.viewer });
}

/** Have the display this large, in px. Throws ApiError. */
export async function putDisplay(access: Access, size: Extent): Promise<void> {
  await request(`${sessionUrl(access.id)}/display`, access.token, { method: "PUT", json: size, viewer: access.viewer });
}
