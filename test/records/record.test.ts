import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  authorOf,
  decodeRecord,
  keyText,
  parseKeyText,
  type RecordBody,
  recordDomain,
  type SignedRecord,
  sealRecord,
  signRecord,
} from '../../src/records/record.ts'
import { approve, signGrant, signHandover } from '../../src/records/succession.ts'
import { stamp, tick } from '../../src/records/time.ts'
import { seal } from '../../src/wire/wire.ts'
import { alice, bob, digestOf, identity, mediaType } from './fixture.ts'

const digest = digestOf('one')
const time: [number, number] = [1_800_000_000_000, 3]
const tag: RecordBody = { kind: 'tag', key: 'team/app:v1', time, value: { digest, mediaType, size: 3 } }
const checked: RecordBody = {
  kind: 'tag',
  key: 'docker.io/library/app:v1',
  time,
  value: { digest, mediaType, size: 3, checkedMs: 1_800_000_000_001 },
}
const manifest: RecordBody = {
  kind: 'manifest',
  key: `team/app@${digest}`,
  time,
  value: { mediaType, size: 3, subject: digest, artifactType: 'application/x', annotations: { a: 'b' } },
}
const policy: RecordBody = {
  kind: 'policy',
  key: '',
  time,
  value: {
    rules: [{ repositories: 'team/**', authors: [bob.publicKey] }],
    immutable: [{ repositories: '**', tags: 'v*', since: 5 }],
    banned: [],
  },
}
const replaced = { from: bob.publicKey, to: alice.publicKey, at: 6 }
const handedOver: RecordBody = {
  kind: 'policy',
  key: '',
  time,
  value: {
    rules: [],
    immutable: [],
    banned: [],
    recovery: signGrant({ keys: [bob.publicKey, identity(5).publicKey], need: 2 }, alice),
    handovers: [
      signHandover(identity(0), bob.publicKey, 5),
      {
        ...replaced,
        grant: signGrant({ keys: [identity(5).publicKey], need: 1 }, bob),
        signatures: [approve(replaced, identity(5))],
      },
    ],
  },
}
const tombstone: RecordBody = { kind: 'tag', key: 'team/app:v1', time, value: null }
const adopted: RecordBody = { ...tag, origin: bob.publicKey }

const hexOf = (body: RecordBody): string =>
  Buffer.from(signRecord(body, alice).envelope.bytes).toString('hex')

describe('a record', () => {
  it('of each kind has these bytes', () => {
    expect(hexOf(tag)).toMatchInlineSnapshot(
      `"b1f804dabc68274c1233995c5a9119b56935bcdd83b7de07ec726dcedc4e9ce771ed39bc88a01c2fa34f5704485e1b7cfc00db6ec5530524fb21d7df987b7895af43da992802de45fa75286926078ff26cbb73b3eebad2d79177826d516fd400a4636b65796b7465616d2f6170703a7631646b696e64637461676474696d65821b000001a3185c5000036576616c7565a36473697a65036664696765737478477368613235363a37363932633361643335343062623830336330323062336165653636636438383837313233323334656130633665373134336330616464373366663433316564696d6564696154797065782a6170706c69636174696f6e2f766e642e6f63692e696d6167652e6d616e69666573742e76312b6a736f6e"`,
    )
    expect(hexOf(checked)).toMatchInlineSnapshot(
      `"b1f804dabc68274c1233995c5a9119b56935bcdd83b7de07ec726dcedc4e9ce765a9c34cd432a67244ed574225904af52c0813de14b558b28af49e6920f2d336a06972b630539be84cbda262e63759fecb9344b324d4823a9f1c88b23f73b006a4636b65797818646f636b65722e696f2f6c6962726172792f6170703a7631646b696e64637461676474696d65821b000001a3185c5000036576616c7565a46473697a65036664696765737478477368613235363a3736393263336164333534306262383033633032306233616565363663643838383731323332333465613063366537313433633061646437336666343331656469636865636b65644d731b000001a3185c5001696d6564696154797065782a6170706c69636174696f6e2f766e642e6f63692e696d6167652e6d616e69666573742e76312b6a736f6e"`,
    )
    expect(hexOf(manifest)).toMatchInlineSnapshot(
      `"b1f804dabc68274c1233995c5a9119b56935bcdd83b7de07ec726dcedc4e9ce758cb568f806532d2724a77844c2380667e90d72251566489e0f2407fcfa83acde2a757c4300af5ac3a01fc6707c1f748a1d931004d4613c69d6552a417353d06a4636b657978507465616d2f617070407368613235363a37363932633361643335343062623830336330323062336165653636636438383837313233323334656130633665373134336330616464373366663433316564646b696e64686d616e69666573746474696d65821b000001a3185c5000036576616c7565a56473697a6503677375626a65637478477368613235363a37363932633361643335343062623830336330323062336165653636636438383837313233323334656130633665373134336330616464373366663433316564696d6564696154797065782a6170706c69636174696f6e2f766e642e6f63692e696d6167652e6d616e69666573742e76312b6a736f6e6b616e6e6f746174696f6e73a1616161626c6172746966616374547970656d6170706c69636174696f6e2f78"`,
    )
    expect(hexOf(policy)).toMatchInlineSnapshot(
      `"b1f804dabc68274c1233995c5a9119b56935bcdd83b7de07ec726dcedc4e9ce7b205959db4ac6a586335e85ac70fa493bb42b3f949539c65bd4407cb546ca8025adfabcb3d28e50ccf3cc7747c73645a58afec388e5cc3615c520ea5d7e8c501a4636b657960646b696e6466706f6c6963796474696d65821b000001a3185c5000036576616c7565a36572756c657381a267617574686f72738158206a0f6a283a8e4e86d2a3d60ef9e37ec33f2ab6071a30e0a477735128e7571eb06c7265706f7369746f72696573677465616d2f2a2a6662616e6e65648069696d6d757461626c6581a3647461677362762a6573696e6365056c7265706f7369746f72696573622a2a"`,
    )
    expect(hexOf(tombstone)).toMatchInlineSnapshot(
      `"b1f804dabc68274c1233995c5a9119b56935bcdd83b7de07ec726dcedc4e9ce7272e495c7b8477b349fdd50b7aa0acd5041df78948000e834a17b15208a5860671dd125c7cc63ee63baf23e9134c2d0dbc5b965270d6cb544d5a4e8ac11c1908a4636b65796b7465616d2f6170703a7631646b696e64637461676474696d65821b000001a3185c5000036576616c7565f6"`,
    )
    expect(hexOf(adopted)).toMatchInlineSnapshot(
      `"b1f804dabc68274c1233995c5a9119b56935bcdd83b7de07ec726dcedc4e9ce7ccd0fc616a66ce02e40b5b28f585542bc72756748d3230e1133862542ea5f72f02553946b02f3ef51df5a2b316a924e321dbb1f63f88fed6c21322b40d355a0fa5636b65796b7465616d2f6170703a7631646b696e64637461676474696d65821b000001a3185c5000036576616c7565a36473697a65036664696765737478477368613235363a37363932633361643335343062623830336330323062336165653636636438383837313233323334656130633665373134336330616464373366663433316564696d6564696154797065782a6170706c69636174696f6e2f766e642e6f63692e696d6167652e6d616e69666573742e76312b6a736f6e666f726967696e58206a0f6a283a8e4e86d2a3d60ef9e37ec33f2ab6071a30e0a477735128e7571eb0"`,
    )
  })

  it('of a policy whose authority was handed over, and may be replaced, has these bytes', () => {
    expect(hexOf(handedOver)).toMatchInlineSnapshot(
      `"b1f804dabc68274c1233995c5a9119b56935bcdd83b7de07ec726dcedc4e9ce70c0795a0cdad74b8bf06be2c01ae1de5eae338fb3472c21556a7be2d4d00a059e33fb42d6f24171952583ebd5fc96695b829fcf68a79c4a7a9faa6221ae2be07a4636b657960646b696e6466706f6c6963796474696d65821b000001a3185c5000036576616c7565a56572756c6573806662616e6e656480687265636f7665727958b1b1f804dabc68274c1233995c5a9119b56935bcdd83b7de07ec726dcedc4e9ce71c42ebe3b087f2818e0955e84838e1d7fe192751e36b8bc416b222fbb591d22dd88e34e01902743b61c8b40717c11605f56b6583814755afa0d40ab0fb499500a2646b6579738258206a0f6a283a8e4e86d2a3d60ef9e37ec33f2ab6071a30e0a477735128e7571eb0582095afef56b879bca9442b1991a582a04a38fb519e73bac9ffff05c635ebf8b0f8646e656564026968616e646f7665727382a46261740562746f58206a0f6a283a8e4e86d2a3d60ef9e37ec33f2ab6071a30e0a477735128e7571eb06466726f6d58203b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da296a7369676e6174757265738158603b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da296e973859aeaf411b2a17b68038a9b2b53b34729157d73b9d1342fdbe5236c77b30a60a064e0d6a060e59cbfd0c4ec11dcba14c48dcb1e37f68962224c49dfb0ca56261740662746f5820b1f804dabc68274c1233995c5a9119b56935bcdd83b7de07ec726dcedc4e9ce76466726f6d58206a0f6a283a8e4e86d2a3d60ef9e37ec33f2ab6071a30e0a477735128e7571eb0656772616e74588f6a0f6a283a8e4e86d2a3d60ef9e37ec33f2ab6071a30e0a477735128e7571eb0bf43c8fe0b46094dc0b199024ab6dd77e51c6c97ddae501a6413d4fb521e4a9b525fc0afc3120a068825be72fcb13138ba5a59b579cbed7a2536ba0d43108009a2646b65797381582095afef56b879bca9442b1991a582a04a38fb519e73bac9ffff05c635ebf8b0f8646e656564016a7369676e61747572657381586095afef56b879bca9442b1991a582a04a38fb519e73bac9ffff05c635ebf8b0f8f381ac71b5da9805d54d3305dbb06defe30fcedf7d63e27896e0e12b5a2b3ccd1bbe8f2d3b8468654feacb6061eca9a1d53225258e90f56b087634e817d4f20d69696d6d757461626c6580"`,
    )
  })

  it.each([tag, checked, manifest, policy, handedOver, tombstone, adopted])(
    'is read as it was signed: $kind',
    (body) => {
      const { envelope } = signRecord(body, alice)
      const read = decodeRecord(envelope.bytes)
      expect(read.body).toEqual(body)
      expect([...read.envelope.author]).toEqual([...alice.publicKey])
      expect(parseKeyText(keyText(read.key))).toEqual(read.key)
    },
  )

  it('that is sealed is what was sealed, under the name of its author, and has these bytes', () => {
    const original = signRecord(tag, bob)
    const sealed = sealRecord(original, 7, alice)
    expect(sealed).toMatchObject({ key: original.key, body: tag, sealed: { ms: 7, original } })
    expect([...authorOf(sealed)]).toEqual([...bob.publicKey])
    expect(sealRecord(sealed, 8, bob).sealed).toEqual({ ms: 8, original })
    expect(Buffer.from(sealed.envelope.bytes).toString('hex')).toMatchInlineSnapshot(
      `"b1f804dabc68274c1233995c5a9119b56935bcdd83b7de07ec726dcedc4e9ce7e51918bbe7dfe6c2c41d7580088a84dca21142da121b0454e035e9770a0e018a1128eae5943b65298485ff23e30f61a785744f50f658012bfe9528d19d507d0ca3626d7307646b696e64647365616c667265636f726459011d6a0f6a283a8e4e86d2a3d60ef9e37ec33f2ab6071a30e0a477735128e7571eb0c046cf0f17f1163e2e3144e830a0875247d39108cb41dab54a8762753c44d386af9601f87f81cb5c0a1ab50c853863b27366a49b69f31359e9519646367c7902a4636b65796b7465616d2f6170703a7631646b696e64637461676474696d65821b000001a3185c5000036576616c7565a36473697a65036664696765737478477368613235363a37363932633361643335343062623830336330323062336165653636636438383837313233323334656130633665373134336330616464373366663433316564696d6564696154797065782a6170706c69636174696f6e2f766e642e6f63692e696d6167652e6d616e69666573742e76312b6a736f6e"`,
    )
  })

  it('is refused or unchanged, whatever was done to its bytes', () => {
    const originals = [signRecord(manifest, alice), sealRecord(signRecord(tag, bob), 7, alice)]
    for (const { envelope } of originals) expectRefusedOrSameWhen(envelope.bytes)
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), expectRefusedOrSame), { numRuns: 1000 })
  })

  function expectRefusedOrSameWhen(original: Uint8Array): void {
    const change = fc.tuple(fc.nat(original.length - 1), fc.integer({ min: 0, max: 255 }))
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const mutated = original.slice()
        for (const [at, byte] of changes) mutated[at] = byte
        expectRefusedOrSame(mutated)
      }),
      { numRuns: 2000 },
    )
  }
})

function expectRefusedOrSame(bytes: Uint8Array): void {
  try {
    const { body, envelope, sealed } = decodeRecord(bytes)
    const again = (sealed === undefined ? signRecord(body, alice) : resealed(sealed)).envelope.body
    expect(Buffer.compare(again, envelope.body)).toBe(0)
  } catch (error) {
    expect(error).toMatchObject({ code: 'MALFORMED' })
  }
}

function resealed({ ms, original }: NonNullable<SignedRecord['sealed']>): SignedRecord {
  return sealRecord(original, ms, alice)
}

/** Signed as it is, whatever it holds. */
const sealed = (body: unknown): Uint8Array => seal(recordDomain, body as Uint8Array, alice)

describe('what is no record', () => {
  const sealOfBytes = (record: Uint8Array): Uint8Array => encoded({ kind: 'seal', ms: 7, record })
  const sealOf = (body: RecordBody): Uint8Array => sealOfBytes(signRecord(body, bob).envelope.bytes)
  const encoded = (body: unknown): Uint8Array => signRecord(body as RecordBody, alice).envelope.bytes
  it.each<[string, () => Uint8Array]>([
    ['nothing', () => new Uint8Array()],
    ['a signature over nothing', () => sealed(new Uint8Array([0xa0]))],
    ['an unknown kind', () => encoded({ ...tag, kind: 'tags' })],
    ['a tag without a tag', () => encoded({ ...tag, key: 'team/app' })],
    ['a tag with a bad name', () => encoded({ ...tag, key: 'team/app:-v1' })],
    ['a repository with a bad name', () => encoded({ ...tag, key: 'Team/app:v1' })],
    ['two tags', () => encoded({ ...tag, key: 'team/app:v1:v2' })],
    ['a manifest with a bad digest', () => encoded({ ...manifest, key: 'team/app@sha256:00' })],
    ['a policy with a key', () => encoded({ ...policy, key: 'x' })],
    ['a tag that points to no digest', () => encoded({ ...tag, value: { ...tag.value, digest: 'latest' } })],
    ['a size below zero', () => encoded({ ...tag, value: { ...tag.value, size: -1 } })],
    [
      'a check in no year',
      () => encoded({ ...checked, value: { ...checked.value, checkedMs: 2 ** 53 - 1 } }),
    ],
    ['a time with a fraction', () => encoded({ ...tag, time: [1.5, 0] })],
    ['a counter too large', () => encoded({ ...tag, time: [1, 65_536] })],
    ['an origin that is no key', () => encoded({ ...tag, origin: new Uint8Array(31) })],
    ['too many bytes', () => new Uint8Array(70_000)],
    ['a seal of a deletion', () => sealOf(tombstone)],
    ['a seal of a manifest', () => sealOf(manifest)],
    ['a seal of a policy', () => sealOf(policy)],
    ['a seal of what the authority signed for another', () => sealOf(adopted)],
    ['a seal of a seal', () => sealOfBytes(sealRecord(signRecord(tag, bob), 7, alice).envelope.bytes)],
    ['a seal of nothing', () => sealOfBytes(new Uint8Array())],
    ['a seal of noise', () => sealOfBytes(new Uint8Array(300).fill(7))],
    ['a seal of more than a tag takes', () => sealOfBytes(new Uint8Array(2049))],
  ])('is %s', (_, make) => {
    expect(() => decodeRecord(make())).toThrowError(expect.objectContaining({ code: 'MALFORMED' }))
  })

  it('is one that is too long to be signed', () => {
    const value = { mediaType, size: 1, annotations: { long: 'x'.repeat(65_500) } }
    expect(() => signRecord({ kind: 'manifest', key: manifest.key, time, value }, alice)).toThrowError(
      expect.objectContaining({ code: 'RECORD_TOO_LARGE', maxBytes: 65_536 }),
    )
  })
})

describe('the time of a write', () => {
  it.each([
    ['the clock', 100.7, undefined, [100, 0]],
    ['the clock, when it is later than what is replaced', 100, [99, 7], [100, 0]],
    ['a tick after what is replaced, when the clock is not later', 100, [100, 0], [100, 1]],
    ['a tick after what is replaced, when that is ahead', 100, [200, 4], [200, 5]],
    ['the next millisecond, when the counter is full', 100, [100, 65_535], [101, 0]],
  ] as const)('is %s', (_, now, replaced, expected) => {
    expect(stamp(now, replaced && [replaced[0], replaced[1]])).toEqual(expected)
  })

  it('ticks forward', () => {
    expect(tick([5, 65_535])).toEqual([6, 0])
  })
})
