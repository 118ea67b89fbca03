/** The command line: finds the command, runs it, and turns what it throws into words and an exit code. */
import { CodedError } from '../src/base/base.ts'
import { UsageError } from './settings.ts'

/** One command, in a file of its own that is loaded when it is called. */
export interface Command {
  /** Printed by `shoal COMMAND --help`. */
  help: string
  /** Returns the exit code. */
  run(args: string[]): Promise<number>
}

const commands: Record<string, { summary: string; load: () => Promise<{ command: Command }> }> = {
  serve: { summary: 'run the node of this host', load: () => import('./commands/serve.ts') },
  health: {
    summary: 'say whether the node of this host answers',
    load: () => import('./commands/health.ts'),
  },
  token: {
    summary: 'print the token with which other hosts join',
    load: () => import('./commands/token.ts'),
  },
  peers: { summary: 'list the members of the cluster', load: () => import('./commands/peers.ts') },
  upstreams: {
    summary: 'list the registries that are mirrored, and how they do',
    load: () => import('./commands/upstreams.ts'),
  },
  'client-config': {
    summary: 'print how docker, containerd or podman pull through this node',
    load: () => import('./commands/client-config.ts'),
  },
  policy: { summary: 'show or set who may publish what', load: () => import('./commands/policy.ts') },
  authority: { summary: 'move the key that signs the policy', load: () => import('./commands/authority.ts') },
  ls: { summary: 'list repositories, or the tags of one', load: () => import('./commands/ls.ts') },
  keep: { summary: 'hold what matches a pattern, always', load: () => import('./commands/keep.ts') },
  warm: { summary: 'fetch images now', load: () => import('./commands/warm.ts') },
  export: { summary: 'write images to a folder or a tar file', load: () => import('./commands/export.ts') },
  import: { summary: 'read images from a folder or a tar file', load: () => import('./commands/import.ts') },
  gc: { summary: 'remove what nothing refers to', load: () => import('./commands/gc.ts') },
  verify: {
    summary: 'hash everything again and quarantine what is wrong',
    load: () => import('./commands/verify.ts'),
  },
}

/** Exit codes: 0 done, 1 failed, 2 not understood. */
export async function run(args: string[]): Promise<number> {
  const [name, ...rest] = args
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(overview())
    return 0
  }
  try {
    const entry = Object.hasOwn(commands, name) ? commands[name] : undefined
    if (entry === undefined) {
      throw new UsageError(`"${name}" is no command; known are ${Object.keys(commands).join(', ')}`)
    }
    const { command } = await entry.load()
    if (rest.includes('--help') || rest.includes('-h')) {
      process.stdout.write(command.help)
      return 0
    }
    return await command.run(rest)
  } catch (error) {
    if (!(error instanceof CodedError)) throw error
    process.stderr.write(`shoal: ${error.message}\n`)
    return error instanceof UsageError ? 2 : 1
  }
}

function overview(): string {
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(16)}${summary}`)
  return `Shoal is a container registry with no server: every host runs one node, and the nodes share what they hold.

Start one with    shoal serve
then              docker push localhost:5000/team/app:1

Commands
${lines.join('\n')}

shoal COMMAND --help says more.
`
}
