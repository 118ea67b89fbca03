/** What operators do during a soak: commands of `shoal` on a node's data directory. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Write } from '../model/model.ts'
import { digestOf, type ManifestContent, makeImage, writeImage } from './content.ts'
import type { Task } from './plan.ts'
import { type Ground, RegistryClient } from './registry-client.ts'

interface Ended {
  outcome: Write['outcome']
  stdout: string
}

/** The last tag takes its manifest along, and what only that lists. */
export async function remove(
  ground: Ground,
  { node, repository, tag }: { node: number; repository: string; tag: string },
): Promise<void> {
  const { chronicle, now } = ground
  const beginMs = now()
  const end = chronicle.beginWrite(node, 'rm', { kind: 'delete-tag', repository, tag })
  const refusals = [/has no tag/]
  const { outcome, stdout } = await command(
    ground,
    node,
    ['rm', `${repository}:${tag}`, '--yes', '--json'],
    refusals,
  )
  end(outcome)
  if (outcome === 'refused') return
  for (const digest of outcome === 'acknowledged' ? removedIn(stdout) : everTagged(ground, repository, tag))
    chronicle.addWrite(node, 'rm', { kind: 'delete-manifest', repository, digest }, { beginMs, outcome })
}

function removedIn(stdout: string): string[] {
  return (JSON.parse(stdout) as { manifests: string[] }).manifests
}

/** Whatever may have been behind the tag. */
function everTagged({ chronicle }: Ground, repository: string, tag: string): string[] {
  const pushes = chronicle.writes.filter((write) => write.kind === 'push' && write.repository === repository)
  return pushes.flatMap((push) =>
    push.kind === 'push' && push.tags.includes(tag) ? [push.digest, ...push.manifests] : [],
  )
}

export async function importImage(
  ground: Ground,
  { node, repository, tag, image }: Extract<Task, { kind: 'import' }>,
): Promise<void> {
  const { chronicle } = ground
  const made = makeImage(image)
  const folder = await mkdtemp(path.join(tmpdir(), 'shoal-soak-import-'))
  try {
    await writeImage(folder, made, tag)
    const pushed = ({ content, blobs, manifests }: ManifestContent, tags: string[]) =>
      chronicle.beginWrite(node, 'import', {
        kind: 'push',
        repository,
        digest: digestOf(content),
        tags,
        blobs,
        manifests,
      })
    const ends = [
      ...made.blobs.map((blob) =>
        chronicle.beginWrite(node, 'import', { kind: 'push-blob', repository, digest: digestOf(blob) }),
      ),
      ...made.children.map((child) => pushed(child, [])),
      pushed(made.manifest, [tag]),
    ]
    const { outcome } = await command(ground, node, ['import', folder, '--as', repository, '--json'], [])
    for (const end of ends) end(outcome)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export async function collect(
  ground: Ground,
  { node, graceMs }: Extract<Task, { kind: 'collect' }>,
): Promise<void> {
  const end = ground.weather.begin('collect', node, ground.now())
  await command(ground, node, ['gc', '--grace', `${graceMs}ms`, '--json'], [])
  end(ground.now())
}

/** A failure that the faults do not excuse and that is none of the `refusals` is complained of. */
async function command(
  ground: Ground,
  node: number,
  args: string[],
  refusals: readonly RegExp[],
): Promise<Ended> {
  const beginMs = ground.now()
  const client = new RegistryClient(ground, node, args[0] ?? '')
  try {
    const stdout = (await ground.nodes[node]?.shoal(...args)) ?? ''
    return { outcome: 'acknowledged', stdout }
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    if (refusals.some((refusal) => refusal.test(text))) return { outcome: 'refused', stdout: '' }
    if (!client.had(['kill', 'restart', 'stop', 'disk', 'clock'], beginMs))
      ground.complain(`shoal ${args.join(' ')} failed: ${text}`, { node })
    return { outcome: 'unknown', stdout: '' }
  }
}
