/** Runs an operation on the running node where there is one, and on its data directory where there is none. */

import { CodedError } from '../../src/base/base.ts'
import { becomeOwner } from '../data-owner.ts'
import type { OperationName, OperationTypes } from '../operations/operations.ts'
import { peersIn } from '../peer-names.ts'
import type { Settings } from '../settings/settings.ts'
import { callRunningNode, OperationError, onceUnlocked } from './client.ts'

export function perform<N extends OperationName>(
  settings: Settings,
  name: N,
  params: OperationTypes[N]['params'],
  onEvent: (event: OperationTypes[N]['event']) => void = () => undefined,
): Promise<OperationTypes[N]['result']> {
  const emit = onEvent as (event: unknown) => void
  return onceUnlocked(async () => {
    const answer = await callRunningNode(settings.data, name, params, emit)
    const result = answer === undefined ? await performHere(settings, name, params, emit) : answer.result
    return result as OperationTypes[N]['result']
  })
}

async function performHere<N extends OperationName>(
  settings: Settings,
  name: N,
  params: OperationTypes[N]['params'],
  emit: (event: unknown) => void,
): Promise<unknown> {
  await becomeOwner(settings.data)
  // Loaded only here: a command to a running node needs none of the store.
  const [{ openLocalNode }, { createLogger }, { createRegistry }, { runOperation }] = await Promise.all([
    import('../local-node.ts'),
    import('../logger.ts'),
    import('../../src/registry/registry.ts'),
    import('../operations/run-operation.ts'),
  ])
  await using node = await openLocalNode({
    settings,
    logger: createLogger(settings['log-level'], { format: settings['log-format'] }),
    create: false,
  })
  const { store, names } = node
  using registry = createRegistry({ store, names, allowDelete: !settings['no-delete'] })
  const { signal } = new AbortController()
  // The clock's sleeps do not hold the process open, and where no node listens nothing else might.
  const holding = setInterval(() => undefined, 60_000)
  try {
    return await runOperation({ node, registry }, name, params, emit, { signal })
  } catch (error) {
    const peers = error instanceof CodedError ? peersIn(error.message) : []
    if (!(error instanceof CodedError) || peers.length === 0) throw error
    throw new OperationError(error.code, error.message, { cause: error, called: node.peers.call(peers) })
  } finally {
    clearInterval(holding)
  }
}
