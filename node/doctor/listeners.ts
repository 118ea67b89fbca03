/** Which process listens on a port of this machine, as far as /proc tells (proc_net_tcp(5)). */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { isRefusal } from './check.ts'

export interface Listener {
  /** As `127.0.0.1` or `::1`. */
  host: string
  port: number
  inode: string
}

export interface Holder {
  pid: number
  name: string
}

const listening = '0A'

/** Reads the text of /proc/net/tcp or tcp6. */
export function parseListeners(text: string): Listener[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const fields = line.trim().split(/\s+/)
      const [, local = '', , state] = fields
      const inode = fields[9]
      const [address = '', port = ''] = local.split(':')
      if (state !== listening || inode === undefined) return []
      return [{ host: hostOf(address), port: Number.parseInt(port, 16), inode }]
    })
}

/** Each word of 32 bits is in the order of the machine, which is little endian wherever Node runs. */
function hostOf(hex: string): string {
  const words = hex.match(/.{8}/g) ?? []
  const bytes = words.flatMap((word) => [...Buffer.from(word, 'hex')].reverse())
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0)).toString(16),
  )
  const name = groups.join(':')
  if (name === '0:0:0:0:0:0:0:0') return '::'
  return name === '0:0:0:0:0:0:0:1' ? '::1' : name
}

/** Those on the port, on any address; none where there is no /proc. */
export async function listListeners(port: number): Promise<Listener[]> {
  const texts = await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map(readOrNothing))
  return texts.flatMap(parseListeners).filter((listener) => listener.port === port)
}

/** `undefined` when it is another user's, or gone. */
export async function findHolder({ inode }: Listener): Promise<Holder | undefined> {
  const pids = (await namesIn('/proc')).filter((name) => /^\d+$/.test(name))
  for (const pid of pids) {
    for (const descriptor of await namesIn(`/proc/${pid}/fd`)) {
      if ((await linkOrNothing(`/proc/${pid}/fd/${descriptor}`)) !== `socket:[${inode}]`) continue
      return { pid: Number(pid), name: (await readOrNothing(`/proc/${pid}/comm`)).trim() }
    }
  }
  return undefined
}

const unseen = ['ENOENT', 'EACCES', 'EPERM', 'ESRCH', 'ENOTDIR']

async function readOrNothing(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (isRefusal(error, ...unseen)) return ''
    throw error
  }
}

async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path)
  } catch (error) {
    if (isRefusal(error, ...unseen)) return []
    throw error
  }
}

async function linkOrNothing(path: string): Promise<string> {
  try {
    return await readlink(path)
  } catch (error) {
    if (isRefusal(error, ...unseen)) return ''
    throw error
  }
}
