"""A session's way out: a forward proxy inside its VM's namespace, policy, upstream proxies."""
