/** A name that is unknown here, asked of a member that answers with more than that. */
import { expect, it } from 'vitest'
import { createAsker } from '../../../node/cluster/asker.ts'
import { silentLogger } from '../../../src/base/base.ts'
import { parseRepository, parseTag } from '../../../src/oci/oci.ts'
import { signRecord } from '../../../src/records/record.ts'
import type { Swarm } from '../../../src/swarm/swarm.ts'
import { bytes, channelPair, codec, list, literal, struct } from '../../../src/wire/wire.ts'
import { manifestRecords, tagRecords } from '../../hostile/records.ts'
import { bob, digestOf, identity, ManualClock, mediaType, testLedger } from '../../records/fixture.ts'

const answers = codec(
  struct({ type: literal('answer'), records: list(bytes({ max: 65_536 }), { max: 64 }) }),
  { maxBytes: 262_144 },
)

/** Of one member, which answers the first question with these. */
function swarmOf(records: Uint8Array[]): Swarm {
  const open = async () => {
    const { a, b } = channelPair()
    void b.receive().then(() => b.send(answers.encode({ type: 'answer', records })))
    return a
  }
  return { members: { peers: () => ['member'] }, open, penalise: () => undefined } as unknown as Swarm
}

it('takes what it asked for whatever others write, and of the rest no more than they may', async () => {
  const clock = new ManualClock()
  const options = { ms: clock.ms }
  await using node = await testLedger({ clock })
  const flood = Array.from({ length: 320 }, (_, n) => manifestRecords(identity(1000 + n), 1, options)).flat()
  await node.ledger.apply(flood)
  const manifest = signRecord(
    {
      kind: 'manifest',
      key: `hostile/tags@${digestOf('hostile')}`,
      time: [clock.ms, 0],
      value: { mediaType, size: 7, annotations: { long: 'x'.repeat(60_000) } },
    },
    bob,
  )
  const asked = [...tagRecords(bob, 1, options), manifest.envelope.bytes]
  const unasked = manifestRecords(bob, 2, { ...options, repository: 'hostile/tags' })
  const asker = createAsker(node.ledger, swarmOf([...asked, ...unasked]), silentLogger)
  const repository = parseRepository('hostile/tags')
  await asker.ask({ kind: 'tag', repository, tag: parseTag('t0') }, 'hostile/tags:t0')
  expect(await node.ledger.findTag(repository, parseTag('t0'))).toMatchObject({ digest: digestOf('hostile') })
  expect(await node.ledger.listManifests(repository, { limit: 10 })).toMatchObject([
    { digest: digestOf('hostile') },
  ])
})
