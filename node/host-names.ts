/** The names of this host: what it calls itself, and what its own table of hosts calls its addresses. */
import { readFile } from 'node:fs/promises'
import { hostname, networkInterfaces } from 'node:os'

const hostsFile = '/etc/hosts'
/** Of the file: a block list of a million names is none of this host's. */
const maxOwnNames = 1_000

export async function findHostNames(): Promise<string[]> {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  const own = new Set(addresses.map(({ address }) => address))
  const name = hostname()
  const [short = name] = name.split('.')
  return [name, short, `${short}.local`, ...namesOf(own, await readHosts())]
}

/** hosts(5): an address, its names, and comments. A name that is blocked by leading to nowhere (0.0.0.0) is not this host's. */
export function namesOf(own: ReadonlySet<string>, hosts: string): string[] {
  const lines = hosts.split('\n').map((line) => line.replace(/#.*/, '').trim().split(/\s+/))
  const isOwn = (address: string): boolean => own.has(address) || /^127\.|^::1$/.test(address)
  return lines.flatMap(([address = '', ...names]) => (isOwn(address) ? names : [])).slice(0, maxOwnNames)
}

async function readHosts(): Promise<string> {
  try {
    return await readFile(hostsFile, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'EACCES'))
      return ''
    throw error
  }
}
