/** A Docker engine of its own: own folders, own socket, no network set-up, no configuration of the machine's. */
import { writeFile } from 'node:fs/promises'
import { type RunOptions, type RunResult, run, startDaemon } from './process.ts'
import { openScratchFolder, type ScratchFolder } from './scratch-folder.ts'

export interface DockerEngine extends AsyncDisposable {
  readonly name: string
  readonly folder: ScratchFolder
  output(): string
  docker(args: string[], options?: RunOptions): Promise<RunResult>
}

/** `classic` is Docker's own image store, `containerd` the one that newer engines use. */
export async function openDockerEngine(imageStore: 'classic' | 'containerd'): Promise<DockerEngine> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await openScratchFolder())
  const config = folder.at('daemon.json')
  await writeFile(
    config,
    JSON.stringify({ features: { 'containerd-snapshotter': imageStore === 'containerd' } }),
  )
  const socket = `unix://${folder.at('docker.sock')}`
  const daemon = cleanup.use(
    await startDaemon(
      `dockerd (${imageStore})`,
      'dockerd',
      [
        ...['--iptables=false', '--ip6tables=false', '--bridge=none', '--config-file', config],
        ...['--data-root', folder.at('data'), '--exec-root', folder.at('exec')],
        ...['--pidfile', folder.at('pid'), '-H', socket],
        ...(imageStore === 'classic' ? ['--storage-driver', 'overlay2'] : []),
      ],
      { ready: /API listen on / },
    ),
  )
  const env = { DOCKER_HOST: socket, DOCKER_CONFIG: folder.at('client') }
  const owned = cleanup.move()
  return {
    name: daemon.name,
    folder,
    output: () => daemon.output(),
    docker: (args, options) => run('docker', args, { ...options, env: { ...options?.env, ...env } }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
