/** A Docker engine of its own: own folders, own socket, no network set-up, no configuration of the machine's. */
import { writeFile } from 'node:fs/promises'
import { type RunOptions, type RunResult, run, startDaemon } from './process.ts'
import { openScratchFolder, type ScratchFolder } from './scratch-folder.ts'

export interface DockerEngine extends AsyncDisposable {
  readonly name: string
  readonly folder: ScratchFolder
  /** What a `docker` needs to talk to it. */
  readonly env: Record<string, string>
  output(): string
  docker(args: string[], options?: RunOptions): Promise<RunResult>
}

export interface DockerEngineOptions {
  /** Where it runs: makes the command of a program there. Default here. */
  command?(program: string, args: string[]): { command: string; args: string[] }
  /** Lines of its `daemon.json`. */
  settings?: object
}

/**
 * `classic` is Docker's own image store, `containerd` the one that newer engines use; `default` is what an engine without
 * a line of configuration has.
 */
export async function openDockerEngine(
  imageStore: 'classic' | 'containerd' | 'default',
  { command = (program, args) => ({ command: program, args }), settings = {} }: DockerEngineOptions = {},
): Promise<DockerEngine> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await openScratchFolder())
  const config = folder.at('daemon.json')
  const features = { 'containerd-snapshotter': imageStore === 'containerd' }
  await writeFile(config, JSON.stringify(imageStore === 'default' ? settings : { ...settings, features }))
  const socket = `unix://${folder.at('docker.sock')}`
  const dockerd = command('dockerd', [
    ...['--iptables=false', '--ip6tables=false', '--bridge=none', '--config-file', config],
    ...['--data-root', folder.at('data'), '--exec-root', folder.at('exec')],
    ...['--pidfile', folder.at('pid'), '-H', socket],
    ...(imageStore === 'classic' ? ['--storage-driver', 'overlay2'] : []),
  ])
  const name = `dockerd (${imageStore})`
  const daemon = cleanup.use(
    await startDaemon(name, dockerd.command, dockerd.args, { ready: /API listen on / }),
  )
  const env = { DOCKER_HOST: socket, DOCKER_CONFIG: folder.at('client') }
  const owned = cleanup.move()
  return {
    name: daemon.name,
    folder,
    env,
    output: () => daemon.output(),
    docker: (args, options) => run('docker', args, { ...options, env: { ...options?.env, ...env } }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
