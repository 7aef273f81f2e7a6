// Read by every Node program (NODE_OPTIONS): Node 20's own fetch does not look at HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
// undici is the very one that this Node's fetch is made of. It is loaded at the first request, not at every start.
'use strict';

const GLOBAL_DISPATCHER = Symbol.for('undici.globalDispatcher.1');
const wanted = ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy'].some((name) => process.env[name]);

if (wanted && globalThis[GLOBAL_DISPATCHER] === undefined) {
  let agent;
  const proxied = () => {
    if (agent === undefined) {
      const { EnvHttpProxyAgent } = require('/usr/share/nodejs/undici/index.js');
      agent = new EnvHttpProxyAgent();
    }
    return agent;
  };
  Object.defineProperty(globalThis, GLOBAL_DISPATCHER, {
    value: {
      dispatch: (options, handler) => proxied().dispatch(options, handler),
      close: (...given) => proxied().close(...given),
      destroy: (...given) => proxied().destroy(...given),
    },
    // A program that sets its own may.
    configurable: true,
    enumerable: false,
    writable: true,
  });
}
