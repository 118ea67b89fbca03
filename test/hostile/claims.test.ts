/** A member that claims to mirror what is the cluster's own. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { clusterMirrorPeers } from '../../node/cluster/mirror-peers.ts'
import { silentLogger, steadyClock } from '../../src/base/base.ts'
import { openMirror } from '../../src/mirror/mirror.ts'
import { digestBytes, mediaTypes, OciError, parseRepository, parseTag } from '../../src/oci/oci.ts'
import { createRegistry } from '../../src/registry/registry.ts'
import { createClones } from '../../src/swarm/members/clones.ts'
import { statusMessage, statusProtocol, statusRequest } from '../../src/swarm/members/status-message.ts'
import { openUpstreams } from '../../src/upstream/upstream.ts'
import { until } from '../swarm/fixture.ts'
import { type HonestNode, openHonestNode } from './honest-node.ts'
import { openHostileMember } from './member.ts'

let stack: AsyncDisposableStack
beforeEach(() => {
  stack = new AsyncDisposableStack()
})
afterEach(async () => {
  await stack.disposeAsync()
})

/** A member of `near` that says that it mirrors these, and answers nothing about them. */
async function openClaimant(near: HonestNode, upstreams: string[]) {
  const hostile = await openHostileMember(stack, { cluster: near.node.membership.cluster })
  await hostile.dial(near.address)
  await until('it to be a member', () => near.peers().includes(hostile.peer))
  const channel = await hostile.open(near.peer, statusProtocol)
  const clones = createClones({
    identity: { ...hostile.identity, seed: new Uint8Array(32) },
    clock: steadyClock,
    logger: silentLogger,
  })
  await channel.send(statusRequest.encode({ upstreams, away: [], keeps: [], running: clones.statement() }))
  expect(statusMessage.decode((await channel.receive()) ?? new Uint8Array())).toMatchObject({ upstreams: [] })
  return hostile
}

function peersOf({ node, member: { swarm, elsewhere, exchange }, names }: HonestNode) {
  const { links } = node.store
  return clusterMirrorPeers({ swarm, names, links, elsewhere, exchange, clock: steadyClock })
}

/** What the daemon puts together of a node without upstreams. */
async function registryOf(near: HonestNode) {
  const { node, member, names } = near
  const { elsewhere, swarm } = member
  const mirror = openMirror({
    upstreams: stack.use(await openUpstreams({ upstreams: [] })),
    peers: { self: swarm.peerId, ...peersOf(near) },
    names,
    holds: async () => false,
    keep: async () => undefined,
    ttlMs: 1000,
    bareNames: true,
    clock: steadyClock,
    logger: silentLogger,
  })
  return stack.use(createRegistry({ store: node.store, names, elsewhere, mirror }))
}

it('makes no mirror of a name under which the policy lets others publish, nor is asked for one', async () => {
  const near = await openHonestNode(stack)
  const hostile = await openClaimant(near, ['acme.io', 'other.io'])
  const peers = peersOf(near)
  expect(peers.wordFor('acme.io', 'acme.io/team/app')).toBe('claim')
  expect(peers.reaching('acme.io', 'acme.io/team/app')).toEqual([hostile.peer])
  const policy = near.names.policy()
  const others = { repositories: 'acme.io/team/**', authors: [near.peer] }
  const itsOwn = { repositories: 'other.io/**', authors: [hostile.peer] }
  await near.names.setPolicy({ ...policy, rules: [others, itsOwn] })
  expect(peers.wordFor('acme.io', 'acme.io/team/app')).toBeUndefined()
  expect(peers.reaching('acme.io', 'acme.io/team/app')).toEqual([])
  expect(peers.wordFor('acme.io', 'acme.io/x')).toBe('claim')
  expect(peers.wordFor('other.io', 'other.io/x')).toBe('rule')
})

it('keeps nobody from pushing under a name that no rule covers, and from what was pushed there', async () => {
  const near = await openHonestNode(stack)
  await openClaimant(near, ['acme.io'])
  const { naming, push, pull, listing } = await registryOf(near)
  const [repository, tag] = [parseRepository('acme.io/team/app'), parseTag('1')]
  const isUnknown = async (work: Promise<unknown>): Promise<boolean> => {
    const error = await work.catch((thrown: unknown) => thrown)
    return error instanceof OciError && error.code.endsWith('_UNKNOWN')
  }

  // As containerd does it: each part is asked for, brought, and the tag asked for before the manifest.
  expect(naming.forPush({ repository })).toEqual({ repository, isGuess: false })
  const [config, layer] = [Buffer.from('{}'), Buffer.from('a layer')]
  for (const bytes of [config, layer]) {
    const digest = digestBytes(bytes)
    expect(await isUnknown(pull.statBlob(repository, digest))).toBe(true)
    const started = await push.startUpload(repository)
    if (!('upload' in started)) throw new Error('nothing was to be mounted')
    await push.appendUpload(repository, started.upload.id, ReadableStream.from([bytes]))
    await push.finishUpload(repository, started.upload.id, digest)
  }
  expect(await isUnknown(pull.statManifest(repository, { tag }))).toBe(true)
  const document = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestBytes(config), size: 2 },
    layers: [
      { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: digestBytes(layer), size: layer.length },
    ],
  }
  const body = { bytes: Buffer.from(JSON.stringify(document)), contentType: undefined }
  const { digest } = await push.putManifest(repository, { tag }, body)

  const named = await naming.forRead({ repository }, { tag })
  expect(named).toEqual({ repository, isGuess: false })
  expect(await pull.getManifest(repository, { tag })).toMatchObject({ digest })
  expect(await listing.listReferrers(repository, digest, {})).toEqual({ items: [] })
  // The next push goes on as well, while whoever pulls is told that the silent member may know that tag.
  const next = { tag: parseTag('2') }
  expect(await isUnknown(pull.statManifest(repository, next))).toBe(true)
  await expect(pull.getManifest(repository, next)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
})
