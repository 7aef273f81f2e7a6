/** The desktop's files over HTTP: list, upload with progress, download with progress. */
import { ApiError, problemOf, request, unreachable } from "../api/http";
import { isRecord, parseProblem, text } from "../api/types";
import { sessionUrl } from "../api/watch";
import type { Access } from "../session/runner";
import { encodePath, nextName } from "./names";
import { t } from "../words/words";

/** Where uploads go and downloads come from, below the home: what the guest's own browser uses too. */
export const FOLDER = "Downloads";
const MAX_TRIES = 50;

export interface Entry {
  readonly name: string;
  readonly size: number;
  /** Unix time in ms. */
  readonly modifiedAt: number;
}

export type Progress = (done: number, total: number) => void;

function urlOf(access: Access, name: string): string {
  return `${sessionUrl(access.id)}/files/${encodePath(`${FOLDER}/${name}`)}`;
}

/** Ordinary files that are not hidden, the newest first; none while there is no such folder. Throws ApiError. */
export async function list(access: Access): Promise<Entry[]> {
  try {
    const body: unknown = await (await request(urlOf(access, ""), access.token)).json();
    return parseList(body);
  } catch (error) {
    if (error instanceof ApiError && error.problem.status === 404) return [];
    throw error;
  }
}

export function parseList(body: unknown): Entry[] {
  const files = isRecord(body) && Array.isArray(body["files"]) ? (body["files"] as unknown[]) : [];
  return files
    .filter(isRecord)
    .filter((file) => file["kind"] === "file" && text(file["name"]) !== "" && !text(file["name"]).startsWith("."))
    .map((file) => ({
      name: text(file["name"]),
      size: typeof file["size"] === "number" ? file["size"] : 0,
      modifiedAt: Date.parse(text(file["modified_at"])),
    }))
    .sort((one, other) => other.modifiedAt - one.modifiedAt);
}

/** Upload under its own name, or one beside it where that is taken; the name it got. Throws ApiError, AbortError. */
export async function upload(access: Access, file: File, progress: Progress, signal: AbortSignal): Promise<string> {
  for (let tries = 0; ; tries += 1) {
    const name = nextName(file.name, tries);
    try {
      await send(urlOf(access, name), access.token, file, progress, signal);
      return name;
    } catch (error) {
      if (!(error instanceof ApiError) || error.problem.status !== 412 || tries >= MAX_TRIES) throw error;
    }
  }
}

/** By XMLHttpRequest: fetch says nothing of how far an upload has come. */
function send(url: string, token: string, file: File, progress: Progress, signal: AbortSignal): Promise<void> {
  return new Promise((done, fail) => {
    const xhr = new XMLHttpRequest();
    xhr.open("PUT", url);
    xhr.setRequestHeader("Authorization", `Bearer ${token}`);
    xhr.setRequestHeader("If-None-Match", "*");
    xhr.setRequestHeader("Content-Type", "application/octet-stream");
    xhr.upload.addEventListener("progress", (event) => {
      progress(event.loaded, file.size);
    });
    xhr.addEventListener("load", () => {
      if (xhr.status >= 200 && xhr.status < 300) done();
      else fail(new ApiError(parseProblem(xhr.status, parse(xhr.responseText))));
    });
    xhr.addEventListener("error", () => {
      fail(new ApiError(unreachable()));
    });
    xhr.addEventListener("abort", () => {
      fail(new DOMException("given up", "AbortError"));
    });
    signal.addEventListener("abort", () => {
      xhr.abort();
    });
    xhr.send(file);
  });
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}

/** The whole file. Throws ApiError, AbortError. */
export async function download(access: Access, entry: Entry, progress: Progress, signal: AbortSignal): Promise<Blob> {
  const response = await request(urlOf(access, entry.name), access.token, { signal });
  const total = Number(response.headers.get("Content-Length") ?? entry.size);
  const parts: BlobPart[] = [];
  let done = 0;
  const reader = response.body?.getReader();
  try {
    for (;;) {
      const read = await reader?.read();
      if (read === undefined || read.done) break;
      parts.push(read.value);
      done += read.value.length;
      progress(done, total);
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError({ ...problemOf(error), kind: "cut-off", detail: t("files.cut"), hint: t("files.cut.hint") });
  }
  return new Blob(parts, { type: "application/octet-stream" });
}
