/** The running node: everything opened in order, wired together, and closed in the opposite order. */
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CodedError, type Logger, systemClock } from '../src/base/base.ts'
import { createHttpServer } from '../src/http/http.ts'
import { createRegistry } from '../src/registry/registry.ts'
import { openAdminServer } from './admin-server.ts'
import { lateElsewhere } from './cluster/late-elsewhere.ts'
import { healthEndpoints } from './health.ts'
import { openJanitor } from './janitor.ts'
import { openLocalNode } from './local-node.ts'
import { createMetrics } from './metrics.ts'
import { runOperation } from './operations/operations.ts'
import { type Address, formatAddress } from './setting-kinds.ts'
import type { Settings } from './settings.ts'

export interface Daemon extends AsyncDisposable {
  readonly httpAddress: string
  readonly p2pAddress: string
}

/** The address is taken, or not this machine's. */
export class ListenError extends CodedError {
  readonly code = 'LISTEN'
}

/** Loading libp2p holds the event loop for half a second; whoever waited for the port gets an answer before that. */
const firstAnswersMs = 50

/** Requests that are still under way after this are cut when the node stops. */
const drainMs = 8_000

/** Resolves when the node serves and is a member of its cluster. A failed start closes what it had opened. */
export async function openDaemon(settings: Settings, logger: Logger): Promise<Daemon> {
  const metrics = createMetrics()
  await using opened = new AsyncDisposableStack()
  const node = opened.use(await openLocalNode({ settings, logger, metrics, create: true }))
  const { store, names } = node
  const elsewhere = lateElsewhere()
  const allowDelete = !settings['no-delete']
  const registry = opened.use(createRegistry({ store, names, elsewhere, logger, metrics, allowDelete }))
  let problems = () => ['the node is still joining its cluster']
  const server = createHttpServer({
    registry,
    logger,
    metrics,
    besides: healthEndpoints({ problems: () => problems() }, metrics),
  })
  const httpAddress = await listen(server, settings.http)
  opened.defer(() => drain(server))
  await systemClock.sleep(firstAnswersMs)
  // Loaded only now: libp2p takes longer to load than everything else together, and what is here can be served without it.
  const { openMember } = await import('./cluster/cluster.ts')
  const member = opened.use(await openMember(node, logger, metrics))
  elsewhere.arrive(member.elsewhere)
  problems = () => member.problems()
  const context = { node, swarm: member.swarm }
  opened.use(await openAdminServer(settings.data, (...call) => runOperation(context, ...call), logger))
  opened.use(openJanitor(node, { clock: systemClock, logger }))
  const resources = opened.move()
  return {
    httpAddress,
    p2pAddress: member.p2pAddress,
    async [Symbol.asyncDispose]() {
      logger.info({}, 'stopping')
      await resources.disposeAsync()
    },
  }
}

async function listen(server: Server, { host, port }: Address): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'is in use by another process' : error.message
      reject(
        new ListenError(`--http: ${host}:${port} ${reason}; choose another with --http HOST:PORT`, {
          cause: error,
        }),
      )
    })
    server.listen(port, host, () => resolve())
  })
  const { address, port: bound } = server.address() as AddressInfo
  return formatAddress({ host: address, port: bound })
}

/** Finishes the requests under way, takes no more, and cuts what is still there at the end of its time. */
async function drain(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  server.closeIdleConnections()
  const idle = setInterval(() => server.closeIdleConnections(), 100)
  const cut = setTimeout(() => server.closeAllConnections(), drainMs)
  await closed
  clearInterval(idle)
  clearTimeout(cut)
}
