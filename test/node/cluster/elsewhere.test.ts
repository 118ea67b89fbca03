/** A manifest that members hold, behind others that only say so. */
import { expect, it } from 'vitest'
import { clusterElsewhere } from '../../../node/cluster/elsewhere.ts'
import { silentLogger } from '../../../src/base/base.ts'
import { digestBytes, parseRepository } from '../../../src/oci/oci.ts'
import { ContentUnavailableError, type FetchOptions } from '../../../src/swarm/swarm.ts'
import { ChannelBrokenError } from '../../../src/wire/wire.ts'

const repository = parseRepository('team/app')
const bytes = Buffer.from('{"schemaVersion":2}')
const digest = digestBytes(bytes)

/** Providers in the order in which they would be tried, each with what it gives. */
function open(providers: Map<string, () => AsyncIterable<Uint8Array>>) {
  const blamed = new Set<string>()
  const content = {
    async fetch(_: object, { except }: FetchOptions = {}) {
      const peer = [...providers.keys()].find((name) => !blamed.has(name) && except?.has(name) !== true)
      if (peer === undefined) throw new ContentUnavailableError(digest, [])
      return { peer, size: bytes.length, body: providers.get(peer)?.() ?? given() }
    },
    blame: (peer: string) => void blamed.add(peer),
  }
  const names = { findManifest: async () => undefined }
  const context = [{ names }, { content }, {}, silentLogger] as unknown as Parameters<typeof clusterElsewhere>
  return { elsewhere: clusterElsewhere(...context), blamed }
}

async function* given(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

async function* broken(): AsyncGenerator<Uint8Array> {
  yield bytes.subarray(0, 3)
  throw new ChannelBrokenError('it left')
}

it('is found behind any number of members that give something else, and only they are blamed', async () => {
  const liars = Array.from({ length: 40 }, (_, n) => `liar-${n}`)
  const { elsewhere, blamed } = open(
    new Map([
      ...liars.map((name) => [name, () => given(Buffer.from('x'))] as const),
      ['honest', () => given(bytes)],
    ]),
  )
  expect(await elsewhere.fetchManifest(repository, digest)).toEqual(bytes)
  expect([...blamed]).toEqual(liars)
})

it('is found behind a member that leaves in the middle, which is not blamed', async () => {
  const { elsewhere, blamed } = open(
    new Map([
      ['leaving', broken],
      ['honest', () => given(bytes)],
    ]),
  )
  expect(await elsewhere.fetchManifest(repository, digest)).toEqual(bytes)
  expect(blamed.size).toBe(0)
})
