"""The one wire definition: data-channel messages (messages, codec) and the agent link (link, rpc).

Standard library only, so that the gateway, the tests and the code generator can import it anywhere.
"""
