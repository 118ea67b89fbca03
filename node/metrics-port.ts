/** A port beside the registry's: what a monitor asks, and nothing else, so that it needs no way to the registry. */
import Koa, { type Middleware } from 'koa'
import { type Logger, logFailure } from '../src/base/base.ts'
import { openHttpPort } from './http-port.ts'
import type { Address } from './settings/kinds.ts'

/** Monitors are few. */
const maxConnections = 64

/** Throws ListenError. */
export async function openMetricsPort(
  address: Address,
  { health, logger }: { health: Middleware; logger: Logger },
): Promise<AsyncDisposable & { readonly address: string }> {
  const port = await openHttpPort(address, { setting: 'metrics', maxConnections })
  const app = new Koa()
  app.use(health)
  app.on('error', (error: unknown) => logFailure(logger, error, 'a question of a monitor failed'))
  port.serve(app.callback())
  logger.info({ address: port.address }, 'monitors are answered')
  return port
}
