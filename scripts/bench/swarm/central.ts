/** Debian's docker-registry alone on a host: what a cluster without Shoal pulls from. */
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import type { NetworkHost } from '../../../test/netns/network.ts'
import { openProcess, until } from '../cluster/nodes.ts'
import { runCommand } from '../command.ts'
import { dockerRegistry } from '../docker-registry.ts'

const startMs = 30_000

export async function openCentral(
  host: NetworkHost,
  folder: string,
  { signal }: { signal: AbortSignal },
): Promise<AsyncDisposable> {
  const dataDir = path.join(folder, 'data')
  await mkdir(dataDir, { recursive: true })
  const places = { dataDir, workDir: folder, httpHost: host.address, httpPort: 5000, p2pPort: 0 }
  const { file, args } = await dockerRegistry.prepare(places)
  const run = host.command(file, args)
  await using stack = new AsyncDisposableStack()
  stack.use(await openProcess(run.command, run.args, path.join(folder, 'log'), /^/))
  const probe = host.command('curl', ['-q', '-sSf', '--noproxy', '*', `http://${host.address}:5000/v2/`])
  const answers = async (): Promise<boolean> => {
    try {
      await runCommand(probe.command, probe.args, { signal })
      return true
    } catch (error) {
      if (!signal.aborted && error instanceof Error && 'code' in error && error.code === 'COMMAND_FAILED') {
        return false
      }
      throw error
    }
  }
  await until('the central registry to answer', answers, startMs)
  const owned = stack.move()
  return { [Symbol.asyncDispose]: async () => await owned.disposeAsync() }
}
