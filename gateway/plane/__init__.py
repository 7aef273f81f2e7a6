"""The data plane in a process of its own: restarting the control plane cuts no viewer and no connection of a guest.

::

    control plane                         data plane (fenster dataplane)
    RemoteDataPlane (client.py)  <──────> PlaneServer (server.py) ── LocalDataPlane: namespaces, relay, egress proxies
                  calls, news, descriptors (calls.py) over a SOCK_SEQPACKET socket (channel.py)

Either side may be killed. The data plane goes on without a control plane, and gives what it has to the next one,
which says what of it is still wanted. The control plane starts the data plane anew, and tells it all that it had: it
holds each VM's namespace itself, and so does the VM.
"""
