/** A node that a command can talk to over its socket for a while: the running one, or, where none runs, one of its own. */

import type { Settings } from '../settings/settings.ts'
import { onceUnlocked, runningNodeAnswers } from './client.ts'
import type { OperationRunner } from './server.ts'

/** Until it is disposed of. A node of the command's own has the store and the ledger, and no network. */
export function openReachableNode(settings: Settings): Promise<AsyncDisposable> {
  return onceUnlocked(async () => {
    if (await runningNodeAnswers(settings.data)) return { [Symbol.asyncDispose]: async () => undefined }
    return openOwnNode(settings)
  })
}

async function openOwnNode(settings: Settings): Promise<AsyncDisposable> {
  // Loaded only here: a command to a running node needs none of the store.
  const [
    { openLocalNode },
    { createLogger },
    { createRegistry },
    { runOperation },
    { openAdminServer },
    { contentHandler },
  ] = await Promise.all([
    import('../local-node.ts'),
    import('../logger.ts'),
    import('../../src/registry/registry.ts'),
    import('../operations/run-operation.ts'),
    import('./server.ts'),
    import('./content-server.ts'),
  ])
  await using opened = new AsyncDisposableStack()
  const logger = createLogger(settings['log-level'])
  const node = opened.use(await openLocalNode({ settings, logger, create: false }))
  const { store, names } = node
  const registry = opened.use(createRegistry({ store, names, allowDelete: !settings['no-delete'] }))
  const context = { node, registry }
  const run: OperationRunner = (...call) => runOperation(context, ...call)
  opened.use(
    await openAdminServer(settings.data, run, logger, {
      answerContent: contentHandler(context),
      answerer: 'command',
    }),
  )
  const resources = opened.move()
  return { [Symbol.asyncDispose]: () => resources.disposeAsync() }
}
