/** A LAN of network namespaces: hosts on one bridge, or on two with a narrow link between them, with shaped links and partitions, gone without a trace afterwards. */
import { run } from '../e2e/command.ts'

export interface NetworkHost {
  readonly name: string
  /** Its IPv4 address. */
  readonly address: string
  /** The command that runs a program on this host, for `spawn` and the like. */
  command(program: string, args: string[]): { command: string; args: string[] }
}

export interface Network extends AsyncDisposable {
  readonly hosts: NetworkHost[]
  /** Limits a host's link in both directions; the queue holds 100 ms. */
  shape(host: NetworkHost, megabitsPerSecond: number): Promise<void>
  /** Cuts every connection between hosts of different groups; hosts that are not named stay reachable by all. */
  partition(...groups: NetworkHost[][]): Promise<void>
  heal(): Promise<void>
  /** What went over the link between the sites so far: into the other one, and back. */
  crossed(): Promise<{ intoBytes: number; backBytes: number }>
}

export interface NetworkOptions {
  /** The second half of the hosts stands in another site, behind a link of so many Mbit/s each way. */
  betweenMbps?: number
}

/** What a suite that uses it has to require. */
export const networkNeeds = ['linux', 'root', 'ip', 'iptables', 'tc']

/**
 * Of what a link passes on at its own pace. What a host sends at once is 64 KiB and a header for each packet of it, and a queue
 * that cannot hold this cuts it up: then each host takes in 45 packets where a network card would have put one together, which
 * on a quick link is most of what receiving costs. On a slow one it would be half a second of the link.
 */
const burst = { slow: '64kb', quick: '128kb' }
const quickMbps = 100
/** Of all namespaces together Linux keeps 1,024 hardware addresses that it asked for (gc_thresh3): more hosts than these cannot all know each other. */
const mostAsking = 30

let networks = 0

/**
 * The bridge lives in a namespace of its own, so that no packet filter and no name of the machine is in the way. Hosts have
 * a default route, without which multicast finds nobody.
 */
export async function openNetwork(hostCount: number, { betweenMbps }: NetworkOptions = {}): Promise<Network> {
  await removeStale()
  const prefix = `shoal-${process.pid}-${networks++}`
  await using cleanup = new AsyncDisposableStack()
  const addNamespace = async (name: string): Promise<string> => {
    await ip('netns', 'add', name)
    cleanup.defer(async () => await ip('netns', 'delete', name))
    await ip('-n', name, 'link', 'set', 'lo', 'up')
    return name
  }

  const lan = await addNamespace(`${prefix}-lan`)
  await ip('-n', lan, 'link', 'add', 'bridge', 'type', 'bridge', 'forward_delay', '0')
  await ip('-n', lan, 'address', 'add', '10.99.0.1/24', 'dev', 'bridge')
  await ip('-n', lan, 'link', 'set', 'bridge', 'up')
  const shapePort = async (port: string, megabitsPerSecond: number, namespace = lan): Promise<void> => {
    const size = megabitsPerSecond < quickMbps ? burst.slow : burst.quick
    const rate = ['tbf', 'rate', `${megabitsPerSecond}mbit`, 'burst', size, 'latency', '100ms']
    await run('ip', ['netns', 'exec', namespace, 'tc', 'qdisc', 'replace', 'dev', port, 'root', ...rate])
  }
  if (betweenMbps !== undefined) {
    await ip('-n', lan, 'link', 'add', 'bridge2', 'type', 'bridge', 'forward_delay', '0')
    await ip('-n', lan, 'link', 'set', 'bridge2', 'up')
    await ip('-n', lan, 'link', 'add', 'near', 'type', 'veth', 'peer', 'name', 'far')
    await ip('-n', lan, 'link', 'set', 'near', 'master', 'bridge', 'up')
    await ip('-n', lan, 'link', 'set', 'far', 'master', 'bridge2', 'up')
    for (const port of ['near', 'far']) await shapePort(port, betweenMbps)
  }

  const hosts: NamespaceHost[] = []
  for (let i = 0; i < hostCount; i++) {
    const name = await addNamespace(`${prefix}-h${i}`)
    const address = `10.99.0.${i + 10}`
    await ip('-n', lan, 'link', 'add', `port${i}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
    const bridge = betweenMbps === undefined || i < hostCount / 2 ? 'bridge' : 'bridge2'
    await ip('-n', lan, 'link', 'set', `port${i}`, 'master', bridge, 'up')
    await ip('-n', name, 'address', 'add', `${address}/24`, 'dev', 'eth0')
    await ip('-n', name, 'link', 'set', 'eth0', 'up')
    await ip('-n', name, 'route', 'add', 'default', 'via', '10.99.0.1')
    hosts.push(namespaceHost(name, address, `port${i}`))
  }
  if (hostCount > mostAsking) await introduce(hosts)
  const owned = cleanup.move()

  const filter = async (host: NetworkHost, ...args: string[]): Promise<void> => {
    const { command, args: all } = host.command('iptables', ['--wait', ...args])
    await run(command, all)
  }

  return {
    hosts,
    async shape(host, megabitsPerSecond) {
      const known = hosts.find(({ name }) => name === host.name)
      if (known === undefined) throw new Error(`${host.name} is not of this network`)
      await shapePort(known.port, megabitsPerSecond)
      await shapePort('eth0', megabitsPerSecond, known.name)
    },
    async partition(...groups) {
      for (const [index, group] of groups.entries()) {
        const others = groups.filter((_, other) => other !== index).flat()
        for (const host of group) {
          for (const { address } of others) {
            await filter(host, '-A', 'INPUT', '-s', address, '-j', 'DROP')
            await filter(host, '-A', 'OUTPUT', '-d', address, '-j', 'DROP')
          }
        }
      }
    },
    async heal() {
      for (const host of hosts) await filter(host, '-F')
    },
    async crossed() {
      const { stdout } = await run('ip', ['-n', lan, '-s', '-j', 'link', 'show', 'near'])
      const [{ stats64 }] = JSON.parse(stdout) as [{ stats64: { rx: Counter; tx: Counter } }]
      return { intoBytes: stats64.tx.bytes, backBytes: stats64.rx.bytes }
    },
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  }
}

/** Tells all hosts the hardware addresses of all, which are not counted then. */
async function introduce(hosts: readonly NamespaceHost[]): Promise<void> {
  const entries = hosts.map(({ address }, index) => {
    const hardware = `02:00:00:00:00:${index.toString(16).padStart(2, '0')}`
    return { address, hardware }
  })
  const batch = entries
    .map(({ address, hardware }) => `neighbour replace ${address} lladdr ${hardware} dev eth0 nud permanent`)
    .join('\n')
  for (const [index, { name }] of hosts.entries()) {
    await ip('-n', name, 'link', 'set', 'eth0', 'address', entries[index]?.hardware ?? '')
    await run('ip', ['-n', name, '-batch', '-'], { input: `${batch}\n` })
  }
}

interface Counter {
  bytes: number
}

interface NamespaceHost extends NetworkHost {
  /** Its link's other end, at the bridge. */
  port: string
}

function namespaceHost(name: string, address: string, port: string): NamespaceHost {
  const command: NetworkHost['command'] = (program, args) => ({
    command: 'ip',
    args: ['netns', 'exec', name, program, ...args],
  })
  return { name, address, port, command }
}

async function ip(...args: string[]): Promise<void> {
  await run('ip', args)
}

/** A test run that was killed leaves its namespaces; they carry the number of a process that is gone. */
async function removeStale(): Promise<void> {
  const { stdout } = await run('ip', ['netns', 'list'])
  for (const [name, pid] of stdout.matchAll(/^shoal-(\d+)-\d+-\w+/gm)) {
    if (!isAlive(Number(pid))) await ip('netns', 'delete', name)
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false
    throw error
  }
}
