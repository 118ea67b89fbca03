/** A Shoal node of this checkout, or of the command that is given. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { runCommand } from './command.ts'
import type { Subject } from './subject.ts'

const checkout = path.join(import.meta.dirname, '..', '..')

export const defaultShoal = path.join(checkout, 'scripts', 'shoal')
/** What a package of this checkout runs. */
export const builtProgram = path.join(checkout, 'dist', 'node', 'main.js')

/** `command` is the CLI to measure; its commit is known only when it belongs to a git checkout. */
export function shoal(command: string, flags: string[] = []): Subject {
  return {
    name: 'Shoal',

    async version({ signal }) {
      const { version } = JSON.parse(await readFile(path.join(checkout, 'package.json'), 'utf8')) as {
        version: string
      }
      const git = runCommand('git', ['-C', checkout, 'describe', '--always', '--dirty'], { signal })
      return `${version} (${await git.then(({ stdout }) => stdout.trim()).catch(notACheckout)})`
    },

    async prepare({ dataDir, httpPort, p2pPort }) {
      const addresses = ['--http', `127.0.0.1:${httpPort}`, '--p2p', `127.0.0.1:${p2pPort}`]
      return { file: command, args: ['serve', '--data', dataDir, ...addresses, '--no-mdns', ...flags] }
    },
  }
}

function notACheckout(error: unknown): string {
  if (error instanceof Error && 'code' in error && error.code === 'COMMAND_FAILED') return 'no git'
  throw error
}
