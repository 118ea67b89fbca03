/** Whether the node has its ports, or could have them. */
import { createServer } from 'node:net'
import { getLocal } from '../local-request.ts'
import { type Address, formatAddress } from '../settings/kinds.ts'
import { type Check, type Finding, fault, fine, isRefusal, note } from './check.ts'
import { findHolder, listListeners } from './listeners.ts'

export interface PortFacts {
  flag: '--http' | '--p2p'
  address: Address
  state: 'ours' | 'silent' | 'free' | 'taken' | 'forbidden' | 'not-here'
  /** Who listens there instead, where that can be told. */
  holder?: string
  /** Who listens on the same port of the other kind of loopback, which `localhost` may mean as well. */
  twin?: { host: string; holder?: string }
  /** Whether another user's node runs here, which most likely has them. */
  isAnothersNode?: boolean
}

export function judgePort({ flag, address, state, holder, twin, isAnothersNode }: PortFacts): Finding[] {
  const where = formatAddress(address)
  const another = flag === '--http' ? 'HOST:PORT, such as 127.0.0.1:5050' : 'HOST:PORT, such as 0.0.0.0:5011'
  const findings: Finding[] = []
  if (state === 'ours') findings.push(fine(`${where} (${flag}) answers`))
  if (state === 'free') findings.push(fine(`${where} (${flag}) is free`))
  if (state === 'silent') {
    findings.push(
      fault(
        `${where} (${flag}) does not answer though the node runs`,
        'look at the log of the node; restart it',
      ),
    )
  }
  if (state === 'taken' && holder === undefined && isAnothersNode === true) {
    findings.push(
      note(
        `${where} (${flag}) is taken, by whom this user cannot see: most likely the node`,
        'run shoal doctor as the user of the node to be sure',
      ),
    )
  } else if (state === 'taken') {
    findings.push(
      fault(
        `${where} (${flag}) is taken by ${holder ?? 'another process'}`,
        `stop that, or choose another with ${flag} ${another}`,
      ),
    )
  }
  if (state === 'forbidden') {
    findings.push(
      fault(
        `${where} (${flag}) may not be listened on by this user`,
        `choose a port above 1023 with ${flag} ${another}`,
      ),
    )
  }
  if (state === 'not-here') {
    findings.push(
      fault(
        `${address.host} (${flag}) is no address of this machine`,
        `choose another with ${flag} ${another}`,
      ),
    )
  }
  if (twin !== undefined) {
    findings.push(
      fault(
        `${formatAddress({ host: twin.host, port: address.port })} belongs to ${twin.holder ?? 'another process'}, and localhost may mean that one`,
        `write ${address.host} instead of localhost, or choose another port with --http`,
      ),
    )
  }
  return findings
}

const answerMs = 3_000
const twins: Record<string, string> = { '127.0.0.1': '::1', '::1': '127.0.0.1' }

export const ports: Check = {
  name: 'ports',
  async examine({ settings, node, isAnothersNode = false }, { signal }) {
    const running = node?.status.running
    const http = running === undefined ? settings.http : parseAddress(running.http)
    const facts: PortFacts[] = [{ flag: '--http', address: http, state: 'free' }]
    if (running === undefined) {
      facts.push({ flag: '--p2p', address: settings.p2p, state: 'free' })
      for (const fact of facts) Object.assign(fact, await tryPort(fact.address))
    } else {
      facts[0] = { flag: '--http', address: http, state: (await answers(http, signal)) ? 'ours' : 'silent' }
    }
    const twin = await findTwin(http, running?.pid)
    return facts.flatMap((fact) =>
      judgePort({ ...fact, ...(fact.flag === '--http' ? twin : {}), isAnothersNode }),
    )
  },
}

async function tryPort(address: Address): Promise<Pick<PortFacts, 'state' | 'holder'>> {
  const refusal = await bind(address)
  if (refusal === undefined) return { state: 'free' }
  if (isRefusal(refusal, 'EACCES', 'EPERM')) return { state: 'forbidden' }
  if (isRefusal(refusal, 'EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'EINVAL')) return { state: 'not-here' }
  if (!isRefusal(refusal, 'EADDRINUSE')) throw refusal
  const holder = await holderOf(address.port, () => true)
  return { state: 'taken', ...(holder === undefined ? {} : { holder }) }
}

/** The error, when there is one. */
function bind({ host, port }: Address): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', resolve)
    server.listen(port, host, () => server.close(() => resolve(undefined)))
  })
}

async function answers(address: Address, signal: AbortSignal): Promise<boolean> {
  const either = AbortSignal.any([signal, AbortSignal.timeout(answerMs)])
  try {
    const response = await getLocal(address, '/v2/', { signal: either })
    response.resume()
    return response.headers['docker-distribution-api-version'] !== undefined
  } catch (error) {
    if (error instanceof Error) return false
    throw error
  }
}

async function findTwin({ host, port }: Address, own: number | undefined): Promise<Pick<PortFacts, 'twin'>> {
  const other = twins[host]
  if (other === undefined) return {}
  const found = (await listListeners(port)).find((listener) => listener.host === other)
  if (found === undefined) return {}
  const holder = await findHolder(found)
  if (holder !== undefined && holder.pid === own) return {}
  return {
    twin: {
      host: other,
      ...(holder === undefined ? {} : { holder: `${holder.name} (process ${holder.pid})` }),
    },
  }
}

async function holderOf(port: number, wanted: (host: string) => boolean): Promise<string | undefined> {
  for (const listener of await listListeners(port)) {
    if (!wanted(listener.host)) continue
    const holder = await findHolder(listener)
    if (holder !== undefined) return `${holder.name} (process ${holder.pid})`
  }
  return undefined
}

/** As a running node says it. */
function parseAddress(text: string): Address {
  const colon = text.lastIndexOf(':')
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) }
}
