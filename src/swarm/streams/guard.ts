/**
 * Keeps libp2p's own services from those that are connected and no members: streams of theirs are refused, and they are not told of
 * to the service. libp2p's middleware would do, were it not that each stream that comes adds another to it (libp2p 3.3).
 */
import type { Connection } from '@libp2p/interface'
import type { kadDHT } from '@libp2p/kad-dht'

type Registrar = Parameters<ReturnType<typeof kadDHT>>[0]['registrar']
type Service<C, S> = (components: C) => S

export function guarded<C extends { registrar: Registrar }, S>(
  service: Service<C, S>,
  isOutside: (connection: Connection) => boolean,
): Service<C, S> {
  return (components) => {
    const { registrar } = components
    const guard = new Proxy(registrar, {
      get(target, name) {
        if (name === 'handle') return handle
        if (name === 'register') return register
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const handle: Registrar['handle'] = (protocol, handler, options) =>
      registrar.handle(
        protocol,
        (stream, connection) => {
          if (isOutside(connection)) stream.abort(new Error('only members are served'))
          else return handler(stream, connection)
        },
        options,
      )
    const register: Registrar['register'] = (protocol, topology, options) =>
      registrar.register(
        protocol,
        {
          ...topology,
          onConnect: (peer, connection) => {
            if (!isOutside(connection)) topology.onConnect?.(peer, connection)
          },
          onDisconnect: (peer) => topology.onDisconnect?.(peer),
        },
        options,
      )
    return service(
      new Proxy(components, {
        get: (target, name) => (name === 'registrar' ? guard : Reflect.get(target, name)),
      }),
    )
  }
}
