/** Carries out what the plan says that clients do. */
import { locationOf, withDigest } from '../e2e/client.ts'
import type { Content } from '../e2e/image.ts'
import { collect, importImage, remove } from './commands.ts'
import { digestOf, type ManifestContent, makeImage } from './content.ts'
import type { Task } from './plan.ts'
import { type Ground, outcomeOf, RegistryClient, said } from './registry-client.ts'

type Push = Extract<Task, { kind: 'push' }>

/** Never throws for what a node does: that is noted or complained of. */
export async function carryOut(ground: Ground, task: Task): Promise<void> {
  const client = new RegistryClient(ground, task.node, task.kind)
  switch (task.kind) {
    case 'push':
      return await push(ground, client, task)
    case 'pull':
      return await pull(client, task.repository, { tag: task.tag })
    case 'pull-digest':
      return await pull(client, task.repository, { digest: digestOfImage(task.image) })
    case 'head':
      return void (await client.readManifest({ repository: task.repository, tag: task.tag }, 'HEAD'))
    case 'range':
      return await readRange(client, task)
    case 'list':
      return await client.readTags(task.repository)
    case 'untag':
      return await client.delete(task.repository, { tag: task.tag })
    case 'delete':
      return await client.delete(task.repository, { digest: digestOfImage(task.image) })
    case 'remove':
      return await remove(ground, task)
    case 'import':
      return await importImage(ground, task)
    case 'collect':
      return await collect(ground, task)
  }
}

function digestOfImage(number: number): string {
  return digestOf(makeImage(number).manifest.content)
}

async function push(ground: Ground, client: RegistryClient, task: Push): Promise<void> {
  const beginMs = ground.now()
  const { manifest, blobs, children } = makeImage(task.image)
  for (const blob of blobs) if (!(await pushBlob(ground, client, task, blob))) return
  for (const child of children)
    if (!(await pushManifest(ground, client, task, { manifest: child, byDigest: true, beginMs }))) return
  await pushManifest(ground, client, task, { manifest, byDigest: task.byDigest, beginMs })
}

async function pushManifest(
  ground: Ground,
  client: RegistryClient,
  { repository, tag, way }: Push,
  { manifest, byDigest, beginMs }: { manifest: ManifestContent; byDigest: boolean; beginMs: number },
): Promise<boolean> {
  const answer = await client.putManifest(repository, byDigest ? { byDigest } : { tag }, manifest)
  if (answer === undefined || answer.status >= 500) return false
  if (answer.status === 201) {
    // A file that was damaged before is damaged still, unless this push has written it anew.
    const rotten = ground.nodes[client.node]?.rotten
    if (way !== 'blind')
      for (const digest of manifest.blobs) if (rotten?.has(digest)) ground.chronicle.lose(client.node, digest)
    return true
  }
  // The collector takes what nothing refers to once its grace is over; what a member was said to have may be out of reach.
  const isMissing =
    answer.status === 404 &&
    (way !== 'blind' || client.had(['collect', 'kill', 'restart', 'rot', 'disk'], beginMs))
  const isRefusedForClock = answer.status === 403 && client.had(['clock'], beginMs)
  if (!isMissing && !isRefusedForClock)
    ground.complain(`a manifest that was pushed with all it needs was answered ${said(answer)}`, {
      name: { repository, digest: digestOf(manifest.content) },
      node: client.node,
    })
  return false
}

/** Resolves to whether it stands there as far as its client knows. */
async function pushBlob(ground: Ground, client: RegistryClient, task: Push, blob: Content): Promise<boolean> {
  const { repository, way } = task
  const { digest } = blob.descriptor
  if (way === 'ask') {
    const head = await client.ask('HEAD', `/v2/${repository}/blobs/${digest}`)
    if (head?.status === 200) return true
  }
  const end = ground.chronicle.beginWrite(client.node, client.task, { kind: 'push-blob', repository, digest })
  const last = await upload(client, task, blob)
  const call = end(outcomeOf(last))
  if (last === undefined || last.status >= 500) return false
  // A session that the node's end took along is unknown to it.
  const isLost = last.status === 404 && client.had(['kill', 'restart'], call.what.beginMs)
  if (last.status !== 201 && !isLost)
    ground.complain(`the upload of a blob was answered ${said(last)}`, { call })
  return last.status === 201
}

/** Resolves to the answer that says that it stands, or to the first that says something else. */
async function upload(client: RegistryClient, task: Push, { bytes, descriptor }: Content) {
  const { repository, way, from, inChunks } = task
  const { digest } = descriptor
  const query = way === 'mount' ? `?mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(from)}` : ''
  const post = await client.ask('POST', `/v2/${repository}/blobs/uploads/${query}`)
  if (post?.status !== 202) return post
  let location = locationOf(post)
  const half = inChunks ? Math.floor(bytes.length / 2) : 0
  if (half > 0) {
    const headers = { 'content-type': 'application/octet-stream', 'content-range': `0-${half - 1}` }
    const patched = await client.ask('PATCH', location, { headers, body: bytes.subarray(0, half) })
    if (patched?.status !== 202) return patched
    location = locationOf(patched)
  }
  return await client.ask('PUT', withDigest(location, digest), { body: bytes.subarray(half) })
}

/** As a client does: the manifest, those that it lists, and all their blobs. */
export async function pull(
  client: RegistryClient,
  repository: string,
  reference: { tag: string } | { digest: string },
): Promise<void> {
  const answer = await client.readManifest({ repository, ...reference }, 'GET')
  if (answer?.status !== 200) return
  const {
    config,
    layers = [],
    manifests = [],
  } = JSON.parse(answer.body.toString()) as {
    config?: { digest: string }
    layers?: { digest: string }[]
    manifests?: { digest: string }[]
  }
  const blobs = [...(config === undefined ? [] : [config]), ...layers]
  for (const { digest } of blobs) await client.readBlob(repository, digest)
  for (const { digest } of manifests) await pull(client, repository, { digest })
}

async function readRange(client: RegistryClient, task: Extract<Task, { kind: 'range' }>): Promise<void> {
  const { blobs } = makeImage(task.image)
  const bytes = blobs[Math.floor(task.from * blobs.length)]?.bytes
  if (bytes === undefined) return
  const start = Math.min(bytes.length - 1, Math.floor(task.from * bytes.length))
  const end = Math.max(start + 1, Math.floor(task.to * bytes.length))
  await client.readRange(task.repository, bytes, start, end)
}
