/** The hosts that a page of documentation speaks of, on a network of their own, and how its commands are run on them. */
import { chmod, cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { callRunningNode } from '../../node/admin/client.ts'
import type { PeerList } from '../../node/operations/operations.ts'
import type { DocumentedCommand } from '../docs/page.ts'
import { type DockerEngine, openDockerEngine } from '../e2e/docker-engine.ts'
import { archive, makeImage } from '../e2e/image.ts'
import { type Daemon, run, startDaemon } from '../e2e/process.ts'
import { openScratchFolder, type ScratchFolder } from '../e2e/scratch-folder.ts'
import { until } from '../swarm/fixture.ts'
import { type NetworkHost, openNetwork } from './network.ts'

const checkout = path.join(import.meta.dirname, '../..')

/** The image that the hosts with docker have from the start, and the seed of what it says. */
export const documentedImage = { name: 'app:1', seed: 'the documentation' }

export interface DocumentedHosts extends AsyncDisposable {
  /** Runs it to its end; `shoal serve` until its node is ready, and in the place of one that ran there. */
  run(command: DocumentedCommand): Promise<string>
  daemons(): Pick<Daemon, 'name' | 'output'>[]
}

/** What a command that goes on running ends with. */
const serving = /^(.*&& )?((?:\S*\/)?shoal serve\b.*|(?:SHOAL_JOIN="[^"]*" )?npm start\b.*)$/

export async function openDocumentedHosts(commands: DocumentedCommand[]): Promise<DocumentedHosts> {
  const names = [...new Set(commands.map(({ host }) => host))]
  await using cleanup = new AsyncDisposableStack()
  const network = cleanup.use(await openNetwork(names.length))
  const folder = cleanup.use(await openScratchFolder())
  await makePrograms(folder)
  const engines: DockerEngine[] = []
  for (const [index, name] of names.entries()) {
    const host = network.hosts[index]
    if (host === undefined) throw new Error('a host for each name')
    const usesDocker = commands.some(({ host: at, text }) => at === name && /\bdocker /.test(text))
    const engine = usesDocker ? cleanup.use(await openEngine(host)) : undefined
    if (engine !== undefined) engines.push(engine)
    await makeHost(folder, name, host, engine?.env ?? {})
  }
  const nodes = new Map<string, Daemon>()
  cleanup.defer(async () => {
    for (const node of nodes.values()) await node[Symbol.asyncDispose]()
  })

  async function serve({ host, text }: DocumentedCommand, before: string, command: string): Promise<string> {
    await nodes.get(host)?.end('SIGTERM')
    // The shell has to become the node, or the signal that ends it would not reach it.
    const node = await startDaemon(
      `shoal on ${host}`,
      folder.at(`on-${host}`),
      ['bash', '-c', `${before}exec env ${command}`],
      {
        ready: /^shoal is ready/m,
      },
    )
    nodes.set(host, node)
    if (/--join|SHOAL_JOIN=/.test(text))
      await until(`${host} to find a member`, () => hasMembers(dataOf(folder, host)), 30_000)
    return node.output()
  }

  const owned = cleanup.move()
  return {
    daemons: () => [...nodes.values(), ...engines],
    async run(command) {
      const [, before = '', lasting] = serving.exec(command.text) ?? []
      if (lasting !== undefined) return await serve(command, before, lasting)
      const { stdout, stderr } = await run(folder.at(`on-${command.host}`), ['bash', '-ec', command.text])
      return stdout + stderr
    },
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  }
}

async function hasMembers(data: string): Promise<boolean> {
  const answer = await callRunningNode(data, 'peers', {}, () => undefined)
  return ((answer?.result as PeerList | undefined)?.members.length ?? 0) > 0
}

function dataOf(folder: ScratchFolder, host: string): string {
  return folder.at(host, 'shoal/shoal-data')
}

async function openEngine(host: NetworkHost): Promise<DockerEngine> {
  // `ip netns exec` would hide the control groups, which an engine needs.
  const command = (program: string, args: string[]) => ({
    command: 'nsenter',
    args: [`--net=/run/netns/${host.name}`, program, ...args],
  })
  const engine = await openDockerEngine('default', { command })
  const file = engine.folder.at('image.tar')
  const image = makeImage({ seed: documentedImage.seed, layerBytes: [200_000, 8_000_000] })
  await writeFile(file, archive(image, documentedImage.name))
  await engine.docker(['load', '--input', file])
  return engine
}

/** A home with a checkout in it, and a script that runs a command there. */
async function makeHost(
  folder: ScratchFolder,
  name: string,
  host: NetworkHost,
  env: Record<string, string>,
): Promise<void> {
  const home = folder.at(name)
  await mkdir(path.join(home, 'shoal'), { recursive: true })
  for (const part of ['src', 'node', 'scripts', 'package.json', 'deploy'])
    await cp(path.join(checkout, part), path.join(home, 'shoal', part), { recursive: true })
  await symlink(path.join(checkout, 'node_modules'), path.join(home, 'shoal/node_modules'))
  const all = { HOME: home, PATH: `${folder.at('programs')}:${process.env.PATH}:/usr/sbin:/sbin`, ...env }
  const exports = Object.entries(all).map(([key, value]) => `export ${key}='${value}'`)
  await writeScript(folder.at(`on-${name}`), [
    `cd '${home}'`,
    ...exports,
    `exec nsenter --net=/run/netns/${host.name} "$@"`,
  ])
}

/** What stands for programs that reach other hosts, for rights that are there, and for what is installed already. */
async function makePrograms(folder: ScratchFolder): Promise<void> {
  await mkdir(folder.at('programs'))
  const program = async (name: string, ...lines: string[]) =>
    await writeScript(folder.at('programs', name), lines)
  await program('shoal', 'exec "$HOME/shoal/scripts/shoal" "$@"')
  await program('ssh', 'host=$1', 'shift', `exec "${folder.path}/on-$host" bash -c "$*"`)
  await program('sudo', 'exec "$@"')
  await program(
    'npm',
    '[ "$1" != ci ] || exit 0',
    '[ "$1" = start ]',
    'shift',
    '[ $# -eq 0 ] || [ "$1" != -- ] || shift',
    'exec scripts/shoal serve "$@"',
  )
}

async function writeScript(file: string, lines: string[]): Promise<void> {
  await writeFile(file, ['#!/bin/sh', 'set -eu', ...lines, ''].join('\n'))
  await chmod(file, 0o755)
}
