import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CodedError } from '../../src/base/base.ts'
import { type Digest, mediaTypes, type Platform, parseManifest, siblingTags } from '../../src/oci/oci.ts'
import { bringImage, ImagePlan, isRequired, type Part } from '../../src/placement/placement.ts'
import {
  closureOf,
  descriptorOf,
  type Made,
  makeBlob,
  makeImage,
  makeIndex,
  repository,
  World,
} from './world.ts'

const { signal } = new AbortController()
const arm64: Platform = { os: 'linux', architecture: 'arm64' }
const digestsOf = (made: { digest: Digest }[]): Digest[] => made.map(({ digest }) => digest).sort()

/** An image for two platforms, each with an attestation, and a signature of the index with an SBOM of its own. */
function makeRelease() {
  const shared = makeBlob('shared layer')
  const arm = makeImage([shared, makeBlob('arm layer')], { seed: 'arm' })
  const amd = makeImage([shared, makeBlob('amd layer')], { seed: 'amd' })
  const unknown = { os: 'unknown', architecture: 'unknown' }
  const attest = (of: Made) => ({
    ...makeImage([makeBlob(`attestation of ${of.digest}`)], { seed: of.digest }),
    platform: unknown,
    annotations: { 'vnd.docker.reference.digest': of.digest },
  })
  const index = makeIndex([
    { ...arm, platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } },
    { ...amd, platform: { os: 'linux', architecture: 'amd64' } },
    attest(arm),
    attest(amd),
  ])
  const signature = makeImage([makeBlob('signature')], { subject: index })
  const sbom = makeImage([makeBlob('sbom')], { subject: signature })
  return { arm, amd, index, signature, sbom, armAttestation: attest(arm) }
}

describe('an image', () => {
  it('is not whole without a layer, unless that may be missing everywhere', async () => {
    const layer = makeBlob('layer')
    const foreign = makeBlob('foreign', 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip')
    const sparse = makeBlob('sparse')
    const made = makeImage([layer, foreign, sparse])
    const world = new World().add(made).hold(made)
    world.absent.set(made.digest, [sparse.digest])
    const image = { repository, ...made }
    expect(await isRequired(image, layer.digest, world)).toBe(true)
    expect(await isRequired(image, foreign.digest, world)).toBe(false)
    expect(await isRequired(image, sparse.digest, world)).toBe(false)
    world.held.clear()
    expect(await isRequired(image, layer.digest, world)).toBe(false)
  })

  it('is brought with its children and its referrers, those of referrers included', async () => {
    const { index, signature, sbom } = makeRelease()
    const world = new World().add(index, signature, sbom)
    const survey = await bringImage({ repository, ...index }, world, { supply: world, signal })
    const everything = closureOf(index, signature, sbom)
    expect(survey.missing).toEqual([])
    expect([...world.held].sort()).toEqual(digestsOf(everything))
    expect(survey.parts).toBe(everything.length)
    expect(survey.bytes).toBe(everything.reduce((sum, { size }) => sum + size, 0))
  })

  it('is asked about, so that referrers that nobody here has heard of come too', async () => {
    const { index, arm, signature, sbom } = makeRelease()
    const world = new World().add(index, signature, sbom)
    for (const { digest } of closureOf(index, signature, sbom)) world.unheard.add(digest)
    expect((await bringImage({ repository, ...index }, world, { signal })).missing).not.toEqual([])
    expect(world.unheard).toContain(arm.digest)
    await bringImage({ repository, ...index }, world, { supply: world, signal })
    expect([...world.held].sort()).toEqual(digestsOf(closureOf(index, signature, sbom)))
  })

  it('is brought with what has a tag beside it or its children, such as cosign’s signatures', async () => {
    const { index, arm } = makeRelease()
    const [signature, attestation] = [makeImage([makeBlob('a')]), makeImage([makeBlob('b')])]
    const world = new World().add(index, signature, attestation)
    const [, sig, att] = siblingTags(index.digest)
    if (sig === undefined || att === undefined) throw new Error('there are four')
    world.siblings.set(index.digest, [{ tag: sig, made: signature }])
    world.siblings.set(arm.digest, [{ tag: att, made: attestation }])
    // The upstream of a mirrored image is asked about the image itself, and not about each of its platforms.
    world.unheardSiblings.add(index.digest)
    const tagged = new Map<Digest, string | undefined>()
    await bringImage({ repository, ...index }, world, {
      supply: world,
      signal,
      onPart: ({ digest, tag }) => void tagged.set(digest, tag),
    })
    expect([...world.held].sort()).toEqual(digestsOf(closureOf(index, signature, attestation)))
    expect([tagged.get(signature.digest), tagged.get(attestation.digest)]).toEqual([sig, att])
  })

  it('that is BuildKit’s cache as an index is brought with the blobs that it lists', async () => {
    const layer = makeBlob('a layer', 'application/vnd.oci.image.layer.v1.tar+gzip')
    const config = makeBlob('{"layers":[]}', 'application/vnd.buildkit.cacheconfig.v0')
    const cache = makeIndex([layer, config])
    const world = new World().add(cache)
    const kinds: string[] = []
    const { missing } = await bringImage({ repository, ...cache }, world, {
      supply: world,
      signal,
      onPart: ({ kind }, state) => void (state === 'here' && kinds.push(kind)),
    })
    expect(missing).toEqual([])
    expect(kinds.toSorted()).toEqual(['blob', 'blob', 'manifest'])
  })

  it('of one platform leaves out the others, and takes what describes it', async () => {
    const { index, arm, signature, armAttestation } = makeRelease()
    const world = new World().add(index, signature)
    const options = { supply: world, platforms: [arm64], signal }
    expect((await bringImage({ repository, ...index }, world, options)).missing).toEqual([])
    const expected = [index, ...closureOf(arm, armAttestation, signature)]
    expect([...world.held].sort()).toEqual(digestsOf(expected))
  })

  it('asks for nothing that is here, and for each part once', async () => {
    const { index, arm, signature } = makeRelease()
    const world = new World().add(index, signature).hold(...closureOf(arm))
    await bringImage({ repository, ...index }, world, { supply: world, signal })
    expect(new Set(world.asked).size).toBe(world.asked.length)
    for (const { digest } of closureOf(arm)) expect(world.asked).not.toContain(digest)
    world.asked.length = 0
    await bringImage({ repository, ...index }, world, { supply: world, signal })
    expect(world.asked).toEqual([])
  })

  it('that is only looked at is not fetched, and what is missing is named', async () => {
    const layer = makeBlob('layer')
    const image = makeImage([layer])
    const world = new World().add(image).hold(image)
    const { missing } = await bringImage({ repository, ...image }, world, { signal })
    expect(digestsOf(missing)).toEqual(digestsOf(image.children))
    expect(world.asked).toEqual([])
    expect((await bringImage({ repository, ...image }, new World(), { signal })).missing).toHaveLength(1)
  })

  it('is complete without what was missing when it was pushed, and brings that where somebody has it by now', async () => {
    const { index, arm, armAttestation } = makeRelease()
    const world = new World().add(index)
    world.absent.set(index.digest, [arm.digest, armAttestation.digest])
    world.lost.add(arm.digest)
    const told: [Digest, boolean][] = []
    const { missing } = await bringImage({ repository, ...index }, world, {
      supply: world,
      signal,
      onPart: ({ digest, optional }, state) => void (state === 'missing' && told.push([digest, optional])),
    })
    expect(missing).toEqual([])
    expect(told).toEqual([[arm.digest, true]])
    expect(world.held).toContain(armAttestation.digest)
    world.absent.clear()
    const now = await bringImage({ repository, ...index }, world, { supply: world, signal })
    expect(digestsOf(now.missing)).toEqual([arm.digest])
  })

  it('brings what it can when a part is nowhere, cannot be read, or its supply fails', async () => {
    class OfflineError extends CodedError {
      readonly code = 'OFFLINE'
    }
    const { index, arm } = makeRelease()
    const world = new World().add(index)
    const [config, , last] = arm.children
    if (config === undefined || last === undefined) throw new Error('an image has a config and layers')
    world.lost.add(last.digest)
    const failing = {
      bringManifest: world.bringManifest.bind(world),
      refreshReferrers: async () => undefined,
      refreshSiblings: async () => undefined,
      bringBlob: async (_: unknown, digest: Digest) => {
        if (digest === config.digest) throw new OfflineError('no line')
        return await world.bringBlob(repository, digest)
      },
    }
    const states: string[] = []
    const survey = await bringImage({ repository, ...index }, world, {
      supply: failing,
      signal,
      onPart: ({ digest }, state, cause) => {
        if (digest === config.digest) states.push(`${state}${cause === undefined ? '' : ` ${cause.code}`}`)
      },
    })
    expect(digestsOf(survey.missing)).toEqual(digestsOf([config, last]))
    expect(states).toEqual(['coming', 'missing OFFLINE'])

    const garbage: Made = { ...makeBlob('not a manifest'), mediaType: mediaTypes.ociManifest }
    const broken = new World().add(garbage).hold(garbage)
    expect((await bringImage({ repository, ...garbage }, broken, { signal })).missing).toHaveLength(1)
  })

  it('fails with a fault of the program, after what was under way', async () => {
    const image = makeImage([makeBlob('a'), makeBlob('b')])
    const world = new World().add(image)
    const broken = {
      bringManifest: world.bringManifest.bind(world),
      refreshReferrers: async () => undefined,
      refreshSiblings: async () => undefined,
      bringBlob: async () => {
        throw new TypeError('a fault')
      },
    }
    await expect(bringImage({ repository, ...image }, world, { supply: broken, signal })).rejects.toThrow(
      'a fault',
    )
  })

  it('does not miss a layer that its licence keeps out of registries', async () => {
    const foreign = makeBlob('foreign', 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip')
    const image = makeImage([foreign])
    const world = new World().add(image)
    const { missing } = await bringImage({ repository, ...image }, world, { supply: world, signal })
    expect(missing).toEqual([])
    expect(world.asked).not.toContain(foreign.digest)
  })
})

describe('a plan', () => {
  it('stops at its limits, and says so', () => {
    const image = makeImage(Array.from({ length: 10 }, (_, i) => makeBlob(`layer ${i}`)))
    const plan = new ImagePlan(image, { limits: { maxParts: 5, maxReferrers: 2 } })
    plan.next()
    plan.open(parseManifest(image.bytes, image.mediaType), image.bytes.length)
    expect(plan.isCut).toBe(true)
    expect(drain(plan)).toHaveLength(4)

    const signed = new ImagePlan(image, { limits: { maxReferrers: 2 } })
    const referrers = ['a', 'b', 'c'].map((seed) => descriptorOf(makeImage([], { seed, subject: image })))
    expect(signed.refer(referrers.slice(0, 2))).toBe(true)
    expect(signed.refer(referrers)).toBe(false)
    expect(signed.isCut).toBe(true)
    expect(drain(signed)).toHaveLength(3)
  })

  it('reads no more bytes of manifests than its limit, and says so', async () => {
    const images = Array.from({ length: 6 }, (_, seed) => makeImage([], { seed: String(seed) }))
    const index = makeIndex(images)
    const bytesOf = ({ bytes }: Made): number => bytes.length
    const maxManifestBytes = bytesOf(index) + 2 * Math.max(...images.map(bytesOf))
    const plan = new ImagePlan(index, { limits: { maxManifestBytes } })
    const made = new Map([index, ...images].map((one) => [one.digest, one]))
    let read = 0
    for (let part = plan.next(); part !== undefined; part = plan.next()) {
      const manifest = made.get(part.digest)
      if (manifest === undefined) continue
      read++
      plan.open(parseManifest(manifest.bytes, manifest.mediaType), manifest.bytes.length)
    }
    expect(read).toBe(3)
    expect(plan.isCut).toBe(true)
  })

  /** Manifests that refer to manifests made before them, in any way; some are signed by later ones. */
  const graphs = fc.array(
    fc.record({
      layers: fc.array(fc.nat({ max: 5 }), { maxLength: 3 }),
      children: fc.array(fc.nat(), { maxLength: 3 }),
      isIndex: fc.boolean(),
      subject: fc.option(fc.nat(), { nil: undefined }),
      isHeld: fc.boolean(),
    }),
    { minLength: 1, maxLength: 8 },
  )

  it('brings exactly what can be reached, whatever is here already', async () => {
    await fc.assert(
      fc.asyncProperty(graphs, fc.nat(), async (steps, choice) => {
        const made: Made[] = []
        const world = new World()
        for (const [at, { layers, children, isIndex, subject, isHeld }] of steps.entries()) {
          const pick = (number: number): Made | undefined => made[number % Math.max(1, at)]
          const about = subject === undefined ? undefined : pick(subject)
          const rest = about === undefined ? {} : { subject: about }
          const next = isIndex
            ? makeIndex(
                children.flatMap((number) => pick(number) ?? []),
                rest,
              )
            : makeImage(
                layers.map((number) => makeBlob(`layer ${number}`)),
                { seed: `${at}`, ...rest },
              )
          made.push(next)
          world.add(next)
          if (isHeld) world.hold(...closureOf(next).slice(0, 2))
        }
        const root = made[choice % made.length]
        if (root === undefined) throw new Error('there is one')
        const before = new Set(world.held)
        const reachable = reach(root, made)
        const { missing } = await bringImage({ repository, ...root }, world, { supply: world, signal })
        expect(missing).toEqual([])
        expect([...world.held].sort()).toEqual([...new Set([...before, ...reachable])].sort())
        expect(world.asked.filter((digest) => before.has(digest))).toEqual([])
      }),
      { numRuns: 200 },
    )
  })
})

/** By another way than the plan's: until nothing is added any more. */
function reach(root: Made, all: Made[]): Set<Digest> {
  const found = new Map(closureOf(root).map((made) => [made.digest, made]))
  for (let size = 0; size !== found.size; ) {
    size = found.size
    for (const made of all) {
      if (made.subject === undefined || !found.has(made.subject)) continue
      for (const part of closureOf(made)) found.set(part.digest, part)
    }
  }
  return new Set(found.keys())
}

function drain(plan: ImagePlan): Part[] {
  const parts: Part[] = []
  for (let part = plan.next(); part !== undefined; part = plan.next()) parts.push(part)
  return parts
}
