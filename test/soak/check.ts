/** The peace after a round: what all nodes show is held against the model, and all content is read back. */
import { BlobAudit } from '../e2e/blob-audit.ts'
import type { WriteOf } from '../model/history.ts'
import { nameOf, type Standing, short } from './chronicle.ts'
import type { Faults } from './faults.ts'
import { repositories } from './plan.ts'
import { type Ground, RegistryClient } from './registry-client.ts'
import type { TagView } from './settle.ts'
import { pull } from './tasks.ts'

type Push = WriteOf<'push'>

/** A manifest that is there, with the tags that point to it and the nodes that have to hold all of it. */
interface Live {
  readonly push: Push
  readonly tags: readonly string[]
  readonly holders: readonly number[]
}

export class Check {
  readonly #ground: Ground
  readonly #faults: Faults
  readonly #audits: BlobAudit[]

  constructor(ground: Ground, faults: Faults) {
    this.#ground = ground
    this.#faults = faults
    this.#audits = ground.nodes.map(({ data }) => new BlobAudit(data))
  }

  /** `view` is what all nodes show. Resolves to what stands from here on. */
  async run(view: TagView, round: number): Promise<Standing[]> {
    const { chronicle } = this.#ground
    this.#judge(false)
    const live: Live[] = []
    for (const repository of repositories) live.push(...(await this.#readNames(repository, view)))
    for (const [index, { push, holders }] of live.entries())
      await this.#readContent(push, holders, round + index)
    this.#judge(true)
    await this.#lookAtFiles(live)
    const blobs = uploaded(chronicle.writes)
    return [
      ...blobs.map((blob) => ({ write: blob, node: 0, isHeld: false })),
      ...live.flatMap(({ push, tags, holders }) => {
        const { kind, repository, digest, blobs: listed, manifests } = push
        const write = { kind, repository, digest, tags: [...tags], blobs: listed, manifests }
        // One that nobody acknowledged and that took effect all the same is promised by nobody.
        if (holders.length === 0) return [{ write, node: 0, isHeld: false }]
        return holders.map((node) => ({ write, node, isHeld: true }))
      }),
    ]
  }

  #judge(isSettled: boolean): void {
    const { chronicle, complain } = this.#ground
    for (const { call, wrong } of chronicle.judgeReads({ isSettled }))
      complain(`${isSettled ? 'after all was well, ' : ''}${wrong}`, { call })
  }

  /** Asks each node for each name that was ever pushed there; resolves to what is there. */
  async #readNames(repository: string, view: TagView): Promise<Live[]> {
    const { nodes, chronicle } = this.#ground
    const tags = view.get(repository) ?? new Map<string, string>()
    const pushes = new Map(
      chronicle.writes
        .filter((write): write is Push => write.kind === 'push' && write.repository === repository)
        .map((push) => [push.digest, push]),
    )
    const found = new Set<string>()
    for (const node of nodes.keys()) {
      const client = new RegistryClient(this.#ground, node, 'check')
      await client.readTags(repository)
      for (const tag of tags.keys()) await client.readManifest({ repository, tag }, 'HEAD')
      for (const digest of pushes.keys()) {
        const answer = await client.readManifest({ repository, digest }, 'HEAD')
        if (answer?.status === 200) found.add(digest)
      }
    }
    return [...found].flatMap((digest) => {
      const push = pushes.get(digest)
      if (push === undefined) return []
      const pointing = [...tags].filter(([, target]) => target === digest).map(([tag]) => tag)
      return [{ push, tags: pointing, holders: this.#holdersOf(push) }]
    })
  }

  /** Those that acknowledged it and have to have it still. */
  #holdersOf({ repository, digest }: Push): number[] {
    const { nodes, chronicle } = this.#ground
    return [...nodes.keys()].filter((node) =>
      chronicle.writes.some(
        (write) =>
          write.kind === 'push' &&
          write.repository === repository &&
          write.digest === digest &&
          write.node === nameOf(node) &&
          chronicle.isHeld(write),
      ),
    )
  }

  /** At those who have to have it, and at one other, so that some content stays at few nodes. */
  async #readContent({ repository, digest }: Push, holders: readonly number[], turn: number): Promise<void> {
    const other = turn % this.#ground.nodes.length
    const readers = new Set(turn % 3 === 0 ? [...holders, other] : holders)
    for (const node of readers)
      await pull(new RegistryClient(this.#ground, node, 'check'), repository, { digest })
  }

  /** A file has its digest's bytes unless it was damaged on purpose, and is there where its push was acknowledged. */
  async #lookAtFiles(live: readonly Live[]): Promise<void> {
    const { nodes, complain } = this.#ground
    for (const [node, audit] of this.#audits.entries()) {
      const { wrong } = await audit.run()
      const digests = new Set(wrong.map((file) => `sha256:${file.slice(-64)}`))
      for (const digest of digests)
        if (!nodes[node]?.rotten.has(digest))
          complain(`node ${node} has a file named ${short(digest)} that does not hash to it`, { node })
      this.#faults.healed(node, digests)
      const files = await nodes[node]?.blobFiles()
      for (const { push, holders } of live) {
        const lacking = holders.includes(node)
          ? push.blobs.filter((digest) => files?.has(digest) !== true)
          : []
        for (const digest of lacking)
          complain(`node ${node} acknowledged a manifest and has no file of its blob ${short(digest)}`, {
            name: { repository: push.repository, digest },
            node,
          })
      }
    }
  }
}

/** Each blob of a repository that a client ever sent there. */
function uploaded(writes: Ground['chronicle']['writes']) {
  const blobs = writes.flatMap((write) =>
    write.kind === 'push-blob' && write.outcome !== 'refused'
      ? [{ kind: write.kind, repository: write.repository, digest: write.digest }]
      : [],
  )
  return [...new Map(blobs.map((blob) => [`${blob.repository} ${blob.digest}`, blob])).values()]
}
