/** A containerd of its own: own folders and socket, without the Kubernetes plugin. */
import { writeFile } from 'node:fs/promises'
import { type RunResult, run, startDaemon } from './process.ts'
import { openScratchFolder, type ScratchFolder } from './scratch-folder.ts'

export interface Containerd extends AsyncDisposable {
  readonly name: string
  readonly folder: ScratchFolder
  output(): string
  ctr(args: string[]): Promise<RunResult>
}

export interface ContainerdOptions {
  /** Where it and `ctr` run: makes the command of a program there. Default here. */
  command?(program: string, args: string[]): { command: string; args: string[] }
}

export async function openContainerd({
  command = (program, args) => ({ command: program, args }),
}: ContainerdOptions = {}): Promise<Containerd> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await openScratchFolder())
  const socket = folder.at('containerd.sock')
  const config = folder.at('config.toml')
  const lines = [
    'version = 2',
    `root = "${folder.at('root')}"`,
    `state = "${folder.at('state')}"`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    '[grpc]',
    `  address = "${socket}"`,
  ]
  await writeFile(config, lines.join('\n'))
  const server = command('containerd', ['--config', config])
  const ready = /containerd successfully booted/
  const daemon = cleanup.use(await startDaemon('containerd', server.command, server.args, { ready }))
  const owned = cleanup.move()
  return {
    name: daemon.name,
    folder,
    output: () => daemon.output(),
    ctr: (args) => {
      const client = command('ctr', ['--address', socket, '--namespace', 'shoal', ...args])
      return run(client.command, client.args)
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
