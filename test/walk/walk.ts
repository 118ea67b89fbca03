/** What is typed and pressed on the way, on which host, and when. */
import { mkdir, readFile, symlink } from 'node:fs/promises'
import path from 'node:path'
import { openClient, pushItem } from '../e2e/client.ts'
import { run } from '../e2e/command.ts'
import { makeImage } from '../e2e/image.ts'
import { freePorts, openRegistry, type Registry } from '../e2e/registry.ts'
import { openScratchFolder } from '../e2e/scratch-folder.ts'
import { openPageWalk } from './page-walk.ts'
import { reading } from './reading.ts'
import { typeInTerminal } from './terminal.ts'

/** With an answer, for what asks. */
type Line = string | [line: string, answer: string]

const shoal = path.join(import.meta.dirname, '../../scripts/shoal')
/** Terminals at a time, for lines that only look. */
const terminals = 6
/** The way does not depend on the docker of this host. */
const doctor = 'shoal doctor --docker-config none.json --docker-socket none.sock'

const looks = [
  'shoal members',
  'shoal peers',
  'shoal status',
  doctor,
  'shoal ls',
  'shoal ls team/app',
  'shoal ls team/app --json',
  'shoal inspect team/app:1',
  'shoal du',
  'shoal gc --plan',
  'shoal upstreams',
  'shoal authority show',
  'shoal health',
]
const mistakes = [
  'shoal stauts',
  'shoal status --jsno',
  'SHOAL_HTPP=127.0.0.1:1 shoal status',
  'shoal status --data /nowhere/at/all',
  'shoal ls nope',
  'shoal ls nope --json',
  'shoal rm team/app:1 --json',
  'shoal inspect team/app:nope',
  'shoal inspect docker.io/library/alpine',
  'shoal warm docker.io/library/alpine',
  'shoal gc --grace=-1s',
  'shoal member ban host-a',
  'shoal member ban nobody',
  'shoal member rename host-b',
  'shoal serve',
  'shoal serve --data elsewhere',
  'SHOAL_HTTP=127.0.0.1:0 shoal serve --data other --join nonsense',
  'shoal export team/app:1',
  'shoal export nope:1 -o out.tar',
  'shoal import none.tar',
  'shoal policy set none.json',
]
const changes: Line[] = [
  'shoal tag team/app:1 team/app:2',
  'shoal evict team/app:1',
  'shoal inspect team/app:1',
  // Its bars come and go as the bytes do.
  'shoal warm team/app:1 2>bars',
  ['shoal rm team/app:2', 'n'],
  ['shoal rm team/app:2', 'y'],
  'shoal ls team/app',
  'shoal member rename host-b spare',
  'shoal members',
  'shoal member rename spare host-b',
]
const whileHostBIsDown: Line[] = [
  'shoal members',
  'shoal peers',
  'shoal status',
  doctor,
  'shoal evict team/app:1',
]
const onStoppedHostB: Line[] = [
  'shoal status',
  'shoal ls',
  'shoal peers',
  'shoal members',
  'shoal warm team/app:1',
  'shoal upstreams',
  doctor,
  'shoal health',
  'shoal member ban host-a',
]
const whenHostBIsReplaced: Line[] = [
  'shoal member forget host-b',
  'shoal members',
  "echo 'a long password' | shoal account add ann --password-stdin",
  doctor,
]

/** Resolves with all that a person read on it. */
export async function walk(): Promise<string> {
  await using opened = new AsyncDisposableStack()
  const folder = opened.use(await openScratchFolder())
  await mkdir(folder.at('bin'))
  await symlink(shoal, folder.at('bin/shoal'))
  const open = async (name: string, flags: string[] = []) => {
    const env = { SHOAL_NAME: name, SHOAL_LOG_LEVEL: 'warn', SHOAL_ACK: '2' }
    return opened.use(await openRegistry({ env, flags }))
  }
  const a = await open('host-a')
  const token = (await run(shoal, ['token', '--data', a.data])).stdout.trim()
  const b = await open('host-b', ['--join', token])
  await until(a, 'members', (text) => text.includes('host-b'))
  await until(b, 'members', (text) => text.includes('host-a'))
  using client = openClient(a.port)
  const image = makeImage({ seed: 'walk', layerBytes: [1_000_000], architecture: 'amd64' })
  await pushItem(client, 'team/app', '1', image)
  for (const { descriptor } of [image.config, ...image.layers])
    await client.ask('GET', `/v2/team/app/blobs/${descriptor.digest}`)
  await until(a, 'status', (text) => !text.includes('Copies'))
  await until(a, 'peers', (text) => / \d+\.\d ms /.test(text))

  const { version } = JSON.parse(await readFile(path.join(import.meta.dirname, '../../package.json'), 'utf8'))
  const known = [
    ...(await ofThisRun('host-a', a)),
    ...(await ofThisRun('host-b', b)),
    [folder.path, '~'],
    [version, 'N.N.N'],
  ] as [string, string][]
  const [spare] = await freePorts(2)
  const type = async (title: string, host: Registry, lines: Line[], atOnce = 1) => {
    const name = host === a ? 'host-a' : 'host-b'
    const env = {
      PATH: `${folder.at('bin')}:${process.env.PATH}`,
      SHOAL_NAME: name,
      SHOAL_DATA: host.data,
      SHOAL_HTTP: `127.0.0.1:${host.port}`,
      SHOAL_P2P: `127.0.0.1:${spare}`,
    }
    const read = await inOrder(lines, atOnce, async (one) => {
      const [line, answer = 'n'] = typeof one === 'string' ? [one] : one
      return `${name}$ ${line}\n${await typeInTerminal(line, { env, cwd: folder.path, answer })}`
    })
    return [`# ${title}\n`, ...read].join('\n')
  }
  const read = await Promise.all([
    type('Two hosts and one image', a, looks, terminals),
    type('Mistakes', a, mistakes, terminals),
  ])
  const page = opened.use(await openPageWalk(`http://localhost:${a.port}/`))
  read.push(await page.look())
  read.push(await type('Changes', a, changes))
  await b.stop()
  await until(a, 'members', (text) => text.includes('away'))
  read.push(
    ...(await Promise.all([
      type('While host-b is down', a, whileHostBIsDown, terminals),
      type('There, without its node', b, onStoppedHostB),
    ])),
  )
  read.push(await page.lookForLost())
  read.push(await type('When host-b is replaced', a, whenHostBIsReplaced))
  return reading(read.join('\n'), known)
}

async function ofThisRun(name: string, { data, port }: Registry): Promise<[string, string][]> {
  const { self } = JSON.parse((await run(shoal, ['peers', '--data', data, '--json'])).stdout)
  const p2p = /\/tcp\/(\d+)/.exec(self.addresses[0])?.[1]
  return [
    // As long as an id, for the tables.
    [self.peer, `ID-OF-${name}-`.padEnd(self.peer.length, '-')],
    [self.cluster, 'CLUSTER'],
    [data, '/var/lib/shoal'],
    [`127.0.0.1:${port}`, '127.0.0.1:HTTP'],
    [`localhost:${port}`, 'localhost:HTTP'],
    [`127.0.0.1:${p2p}`, '127.0.0.1:P2P'],
    [`/tcp/${p2p}`, '/tcp/P2P'],
  ]
}

/** Looks again as often as it can: each look takes a while by itself. */
async function until({ data }: Registry, command: string, isSo: (text: string) => boolean): Promise<void> {
  let text = ''
  for (let times = 0; times < 300; times++) {
    text = (await run(shoal, [command, '--data', data])).stdout
    if (isSo(text)) return
  }
  throw new Error(`shoal ${command} goes on saying:\n${text}`)
}

/** The results are in the order of the lines. */
async function inOrder(
  lines: Line[],
  atOnce: number,
  act: (line: Line) => Promise<string>,
): Promise<string[]> {
  const results: string[] = []
  const waiting = lines.entries()
  const work = async () => {
    for (const [index, line] of waiting) results[index] = await act(line)
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return results
}
