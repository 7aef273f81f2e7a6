/**
 * Keys and tokens: taken from the URL's fragment, which browsers do not send, kept for this tab, and removed
 * from the address bar.
 */
import { tab } from "./storage";
import { isRecord } from "./types";
import type { Role } from "./types";

/** The fragment's value of `name` (`#token=...`), or null. Pure. */
export function fragmentValue(hash: string, name: string): string | null {
  const value = new URLSearchParams(hash.replace(/^#/, "")).get(name);
  return value === null || value.trim() === "" ? null : value.trim();
}

/** Role that a viewer token states (a JWT, RFC 7519 3.1), unverified: the gateway decides. Null if it says none. Pure. */
export function roleOf(token: string): Role | null {
  const payload = token.split(".")[1];
  if (payload === undefined) return null;
  try {
    const raw = atob(payload.replaceAll("-", "+").replaceAll("_", "/"));
    const claims: unknown = JSON.parse(new TextDecoder().decode(Uint8Array.from(raw, (char) => char.charCodeAt(0))));
    const role = isRecord(claims) ? claims["role"] : null;
    return role === "control" || role === "view" ? role : null;
  } catch {
    return null;
  }
}

/** Take `name` from the fragment into this tab's storage under `slot`; else what the storage has; else "". */
export function claim(name: string, slot: string): string {
  const given = taken(name);
  if (given === null) return tab.get(slot) ?? "";
  tab.set(slot, given);
  return given;
}

/** The fragment's value of `name`, which is removed from the address bar; null when there is none. */
export function taken(name: string): string | null {
  const given = fragmentValue(location.hash, name);
  if (given !== null) history.replaceState(history.state, "", location.pathname + location.search);
  return given;
}
