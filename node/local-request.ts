/** A request to the registry's port of this host, whether that speaks TLS or not. */
import type { IncomingMessage, RequestOptions } from 'node:http'
import { get as getSecure } from 'node:https'
import { get as getPlain } from './node-http.ts'
import { type Address, localAddress } from './settings/kinds.ts'

/** Rejects where nothing answers. Who answers is not proven: ask for nothing secret, and tell nothing. */
export async function getLocal(
  address: Address,
  path: string,
  { signal }: { signal: AbortSignal },
): Promise<IncomingMessage> {
  const options = { ...localAddress(address), path, signal, agent: false }
  const plain = await headOf(getPlain, options)
  // What a port that speaks TLS answers here (node/tls/connections.ts); the path is this program's own, and good.
  if (plain.statusCode !== 400) return plain
  plain.resume()
  return await headOf((secured) => getSecure({ ...secured, rejectUnauthorized: false }), options)
}

function headOf(
  get: (options: RequestOptions) => ReturnType<typeof getPlain>,
  options: RequestOptions,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(options).once('response', resolve).once('error', reject)
  })
}
