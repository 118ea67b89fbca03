/** A containerd of its own: own folders and socket, without the Kubernetes plugin. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type RunResult, run, startDaemon } from './process.ts'

export interface Containerd extends AsyncDisposable {
  readonly name: string
  readonly folder: string
  output(): string
  ctr(args: string[]): Promise<RunResult>
}

export async function openContainerd(): Promise<Containerd> {
  await using cleanup = new AsyncDisposableStack()
  const folder = await mkdtemp(path.join(tmpdir(), 'shoal-containerd-'))
  cleanup.defer(() => rm(folder, { recursive: true, force: true }))
  const socket = path.join(folder, 'containerd.sock')
  const config = path.join(folder, 'config.toml')
  const lines = [
    'version = 2',
    `root = "${path.join(folder, 'root')}"`,
    `state = "${path.join(folder, 'state')}"`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    '[grpc]',
    `  address = "${socket}"`,
  ]
  await writeFile(config, lines.join('\n'))
  const daemon = cleanup.use(
    await startDaemon('containerd', 'containerd', ['--config', config], {
      ready: /containerd successfully booted/,
    }),
  )
  const owned = cleanup.move()
  return {
    name: daemon.name,
    folder,
    output: () => daemon.output(),
    ctr: (args) => run('ctr', ['--address', socket, '--namespace', 'shoal', ...args]),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
