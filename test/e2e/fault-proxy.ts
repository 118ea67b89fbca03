/** A TCP proxy in front of a registry that breaks one connection at a chosen byte, and remembers what was asked. */
import { createServer, type Server, type Socket, connect as tcpConnect } from 'node:net'

/** `up` is from the client to the registry. */
type Direction = 'up' | 'down'

export interface FaultProxy extends AsyncDisposable {
  readonly port: number
  readonly host: string
  /** Every request head that passed, as it was sent. */
  readonly requests: string[]
  /** How many of the faults that were asked for have happened. */
  readonly faults: number
  /** Breaks the first connection that carries more than `bytes` in that direction, once, right after that many. */
  cut(direction: Direction, bytes: number): void
  /** Turns over one bit of the first byte past `bytes` that the registry sends over one connection, once. */
  flip(bytes: number): void
}

interface Fault {
  kind: 'cut' | 'flip'
  direction: Direction
  bytes: number
}

export async function openFaultProxy(target: number): Promise<FaultProxy> {
  const requests: string[] = []
  const pending: Fault[] = []
  const open = new Set<Socket>()
  let faults = 0

  const relay = (from: Socket, to: Socket, direction: Direction) => {
    let passed = 0
    from.on('data', (chunk: Buffer) => {
      if (direction === 'up') requests.push(...headsIn(chunk))
      const fault = pending.find(
        (candidate) => candidate.direction === direction && passed + chunk.length > candidate.bytes,
      )
      const at = fault === undefined ? 0 : Math.max(0, fault.bytes - passed)
      passed += chunk.length
      if (fault !== undefined) {
        pending.splice(pending.indexOf(fault), 1)
        faults++
      }
      if (fault?.kind === 'cut') {
        from.pause()
        to.write(chunk.subarray(0, at), () => {
          from.destroy()
          to.destroy()
        })
        return
      }
      if (fault?.kind === 'flip') chunk[at] = (chunk[at] ?? 0) ^ 1
      if (!to.write(chunk)) {
        from.pause()
        to.once('drain', () => from.resume())
      }
    })
    from.once('end', () => to.end())
    from.once('close', () => {
      open.delete(from)
      to.destroy()
    })
    // The other side learns of it by the close that follows.
    from.on('error', () => from.destroy())
    open.add(from)
  }

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const registry = tcpConnect({ port: target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    relay(client, registry, 'up')
    relay(registry, client, 'down')
  })
  const port = await listen(server)
  return {
    port,
    host: `localhost:${port}`,
    requests,
    get faults() {
      return faults
    },
    cut: (direction, bytes) => {
      pending.push({ kind: 'cut', direction, bytes })
    },
    flip: (bytes) => {
      pending.push({ kind: 'flip', direction: 'down', bytes })
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of open) socket.destroy()
      }),
  }
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      if (address === null || typeof address === 'string') reject(new Error('the proxy has no port'))
      else resolve(address.port)
    })
  })
}

/** Request heads that begin a chunk, which is where clients put them. */
function headsIn(chunk: Buffer): string[] {
  const text = chunk.toString('latin1', 0, Math.min(chunk.length, 8192))
  if (!/^(GET|HEAD|POST|PUT|PATCH|DELETE) \S+ HTTP\/1\.1\r\n/.test(text)) return []
  return [text.slice(0, text.indexOf('\r\n\r\n') + 2)]
}
