"""HTTP only: parse, call, answer. Handlers hold no state and invent no status codes."""
