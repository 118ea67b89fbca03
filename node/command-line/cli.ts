/** The command line: finds the command, runs it, and turns what it throws into words and an exit code. */

import { UsageError } from '../settings/settings.ts'
import type { Command } from './command.ts'
import { explainFailure } from './failure.ts'
import { nearest } from './nearest.ts'

export type { Command } from './command.ts'

/** Each in a file of its own that is loaded when it is called. */
export const commands: Record<string, { summary: string; load: () => Promise<{ command: Command }> }> = {
  serve: { summary: 'run the node of this host', load: () => import('../commands/serve.ts') },
  health: {
    summary: 'say whether the node of this host answers',
    load: () => import('../commands/health.ts'),
  },
  status: {
    summary: 'show the node, its cluster, its disk and what moves, on one screen',
    load: () => import('../commands/status.ts'),
  },
  doctor: {
    summary: 'look for what usually goes wrong, and say what to do',
    load: () => import('../commands/doctor.ts'),
  },
  token: {
    summary: 'print the token with which other hosts join, invite hosts, or rotate the secret',
    load: () => import('../commands/token.ts'),
  },
  members: {
    summary: 'list who belongs to the cluster',
    load: () => import('../commands/members.ts'),
  },
  member: {
    summary: 'approve, ban, unban, forget or rename a member',
    load: () => import('../commands/member.ts'),
  },
  peers: { summary: 'list the members of the cluster', load: () => import('../commands/peers.ts') },
  upstreams: {
    summary: 'list the registries that are mirrored, and how they do',
    load: () => import('../commands/upstreams.ts'),
  },
  'client-config': {
    summary: 'print how docker, containerd or podman pull through this node',
    load: () => import('../commands/client-config.ts'),
  },
  policy: {
    summary: 'show or set who may publish what, and what people may do',
    load: () => import('../commands/policy.ts'),
  },
  account: {
    summary: 'make, change and list the accounts of people and robots',
    load: () => import('../commands/account.ts'),
  },
  access: { summary: 'say what somebody may do, and why', load: () => import('../commands/access.ts') },
  authority: {
    summary: 'move, replace or follow the key that signs the policy',
    load: () => import('../commands/authority.ts'),
  },
  ls: { summary: 'list repositories, or the tags of one', load: () => import('../commands/ls.ts') },
  keep: { summary: 'hold what matches a pattern, always', load: () => import('../commands/keep.ts') },
  warm: { summary: 'fetch images now', load: () => import('../commands/warm.ts') },
  export: { summary: 'write images to a folder or a tar file', load: () => import('../commands/export.ts') },
  import: {
    summary: 'read images from a folder, a tar file or another registry',
    load: () => import('../commands/import.ts'),
  },
  inspect: {
    summary: 'show what an image consists of, and who published it',
    load: () => import('../commands/inspect.ts'),
  },
  tag: { summary: 'give an image another name', load: () => import('../commands/tag.ts') },
  rm: { summary: 'remove a tag, an image or a repository', load: () => import('../commands/rm.ts') },
  du: { summary: 'say what fills this disk, by repository', load: () => import('../commands/du.ts') },
  evict: { summary: "free this host's copy of images", load: () => import('../commands/evict.ts') },
  retention: {
    summary: 'list the tags that no retention rule keeps, or delete them',
    load: () => import('../commands/retention.ts'),
  },
  gc: {
    summary: 'remove what nothing refers to, or say what may go',
    load: () => import('../commands/gc.ts'),
  },
  verify: {
    summary: 'hash everything again and quarantine what is wrong',
    load: () => import('../commands/verify.ts'),
  },
  drain: {
    summary: 'bring what is here elsewhere, before this host goes for good',
    load: () => import('../commands/drain.ts'),
  },
  completion: {
    summary: 'print completions for bash, zsh or fish',
    load: () => import('../commands/completion.ts'),
  },
}

/** Exit codes: 0 done, 1 failed, 2 not understood. With --json what went wrong is a line of JSON on standard error. */
export async function run(args: string[]): Promise<number> {
  try {
    return await dispatch(args)
  } catch (error) {
    const failure = explainFailure(error)
    if (failure === undefined) throw error
    const { code, message, words, exitCode } = failure
    process.stderr.write(
      ownFlags(args).includes('--json')
        ? `${JSON.stringify({ error: { code, message } })}\n`
        : `shoal: ${words}\n`,
    )
    return exitCode
  }
}

async function dispatch([name, ...rest]: string[]): Promise<number> {
  if (name === '--version' || name === 'version') {
    const { readVersion } = await import('../version.ts')
    process.stdout.write(`shoal ${await readVersion()}\n`)
    return 0
  }
  const asksForHelp = name === 'help' || name === '--help' || name === '-h'
  const [subject] = rest
  if (name === undefined || (asksForHelp && subject === undefined)) {
    const { overview } = await import('./overview.ts')
    process.stdout.write(await overview({ greets: name === undefined }))
    return 0
  }
  const command = await loadCommand(asksForHelp && subject !== undefined ? subject : name)
  if (!asksForHelp && !wantsHelp(rest)) return await command.run(rest)
  process.stdout.write(command.help)
  return 0
}

async function loadCommand(name: string): Promise<Command> {
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (entry !== undefined) return (await entry.load()).command
  const known = Object.keys(commands)
  const meant = nearest(name, known)
  throw new UsageError(
    meant === undefined
      ? `"${name}" is no command; known are ${known.join(', ')}`
      : `"${name}" is no command; did you mean shoal ${meant}?`,
  )
}

function wantsHelp(args: string[]): boolean {
  const flags = ownFlags(args)
  return flags.includes('--help') || flags.includes('-h')
}

/** What comes after `--` is not meant for the command line. */
function ownFlags(args: string[]): string[] {
  const end = args.indexOf('--')
  return end < 0 ? args : args.slice(0, end)
}
