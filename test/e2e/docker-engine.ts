/** A Docker engine of its own: own folders, own socket, no network set-up, no configuration of the machine's. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type RunOptions, type RunResult, run, startDaemon } from './process.ts'

export interface DockerEngine extends AsyncDisposable {
  readonly name: string
  readonly folder: string
  output(): string
  docker(args: string[], options?: RunOptions): Promise<RunResult>
}

/** `classic` is Docker's own image store, `containerd` the one that newer engines use. */
export async function openDockerEngine(imageStore: 'classic' | 'containerd'): Promise<DockerEngine> {
  await using cleanup = new AsyncDisposableStack()
  const folder = await mkdtemp(path.join(tmpdir(), 'shoal-docker-'))
  cleanup.defer(() => rm(folder, { recursive: true, force: true }))
  const config = path.join(folder, 'daemon.json')
  await writeFile(
    config,
    JSON.stringify({ features: { 'containerd-snapshotter': imageStore === 'containerd' } }),
  )
  const socket = `unix://${path.join(folder, 'docker.sock')}`
  const daemon = cleanup.use(
    await startDaemon(
      `dockerd (${imageStore})`,
      'dockerd',
      [
        ...['--iptables=false', '--ip6tables=false', '--bridge=none', '--config-file', config],
        ...['--data-root', path.join(folder, 'data'), '--exec-root', path.join(folder, 'exec')],
        ...['--pidfile', path.join(folder, 'pid'), '-H', socket],
        ...(imageStore === 'classic' ? ['--storage-driver', 'overlay2'] : []),
      ],
      { ready: /API listen on / },
    ),
  )
  const env = { DOCKER_HOST: socket, DOCKER_CONFIG: path.join(folder, 'client') }
  const owned = cleanup.move()
  return {
    name: daemon.name,
    folder,
    output: () => daemon.output(),
    docker: (args, options) => run('docker', args, { ...options, env: { ...options?.env, ...env } }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
