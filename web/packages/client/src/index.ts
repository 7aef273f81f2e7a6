export { FensterClient, FensterError } from "./client.js";
export type { Address, FensterOptions } from "./client.js";
export { PROTOCOL } from "./protocol.js";
export type {
  ClosedReason,
  Command,
  Content,
  Controller,
  Credential,
  DesktopEvent,
  Keys,
  Picture,
  Role,
  SessionState,
  Transport,
} from "./protocol.js";
