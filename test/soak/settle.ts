/** After a round, when all is well again: the nodes meet, agree, and hold what was acknowledged. */
import { setTimeout as wait } from 'node:timers/promises'
import { ACCEPT_MANIFESTS } from '../e2e/client.ts'
import { isMesh } from '../netns/cluster-node.ts'
import { patient } from './patience.ts'
import { repositories } from './plan.ts'
import type { Ground } from './registry-client.ts'
import type { SoakNode } from './soak-node.ts'

const withinMs = 90_000
const pollMs = 1_000

/** The digest behind each tag of each repository; what is listed and not there is `missing`. */
export type TagView = ReadonlyMap<string, ReadonlyMap<string, string>>

export const missing = 'missing'

/** Resolves to what all nodes show, to what the first does after a complaint when they do not come to that. */
export async function settle({ complain, nodes }: Ground): Promise<TagView> {
  const meetMs = patient(withinMs)
  const hasMet = await within(meetMs, async () => await isMesh(nodes.map(({ node }) => node)))
  if (!hasMet) {
    const counts = await Promise.all(nodes.map(async ({ node }) => (await node.peers()).length))
    complain(
      `the nodes do not meet in ${Math.round(meetMs / 1000)} s; they are connected with ${counts.join(', ')} others`,
      {},
    )
  }
  let views: TagView[] = []
  const agreeMs = patient(withinMs)
  const isOne = await within(agreeMs, async () => {
    views = await Promise.all(nodes.map(viewOf))
    return new Set(views.map(textOf)).size === 1
  })
  const [view = new Map()] = views
  if (isOne) return view
  for (const repository of repositories) {
    const tags = new Set(views.flatMap((view) => [...(view.get(repository)?.keys() ?? [])]))
    for (const tag of tags) {
      const seen = views.map((view) => view.get(repository)?.get(tag) ?? 'nothing')
      if (new Set(seen).size > 1)
        complain(`the nodes do not agree in ${Math.round(agreeMs / 1000)} s on a tag: ${seen.join(', ')}`, {
          name: { repository, tag },
        })
    }
  }
  return view
}

async function viewOf({ node }: SoakNode): Promise<TagView> {
  const view = new Map<string, Map<string, string>>()
  for (const repository of repositories) {
    const answer = await node.client.ask('GET', `/v2/${repository}/tags/list?n=1000`)
    if (answer.status !== 200) continue
    const { tags } = JSON.parse(answer.body.toString()) as { tags: string[] | null }
    const digests = new Map<string, string>()
    for (const tag of tags ?? []) {
      const path = `/v2/${repository}/manifests/${tag}`
      const head = await node.client.ask('HEAD', path, { headers: { accept: ACCEPT_MANIFESTS } })
      digests.set(tag, head.headers['docker-content-digest']?.toString() ?? missing)
    }
    view.set(repository, digests)
  }
  return view
}

function textOf(view: TagView): string {
  return JSON.stringify([...view].map(([repository, tags]) => [repository, [...tags].toSorted()]))
}

async function within(limitMs: number, isSo: () => Promise<boolean>): Promise<boolean> {
  const endMs = performance.now() + limitMs
  for (;;) {
    if (await isSo()) return true
    if (performance.now() > endMs) return false
    await wait(pollMs)
  }
}
