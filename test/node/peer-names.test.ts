import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { inWords, namingLogger, PeerNames, peersIn } from '../../node/peer-names.ts'
import { prettyLine } from '../../node/pretty-line.ts'
import { type Logger, silentLogger } from '../../src/base/base.ts'
import { identityFromSeed } from '../../src/wire/wire.ts'

const [self = '', b = '', c = '', d = ''] = [1, 2, 3, 4].map(
  (seed) => identityFromSeed(new Uint8Array(32).fill(seed)).peerId,
)

/** A table as the database has it, which outlives whoever opened it. */
function openTable() {
  const rows = new Map<string, string>()
  return {
    rows,
    async *iterator() {
      yield* rows
    },
    put: async (peer: string, name: string) => void rows.set(peer, name),
    del: async (peer: string) => void rows.delete(peer),
  }
}

async function open(given: Record<string, string> = {}, table = openTable(), logger?: Logger) {
  const lines: object[] = []
  const names = await PeerNames.open({
    table,
    self: { peer: self, name: 'host-a' },
    given: () => Object.entries(given),
    clock: { now: () => 0, sleep: async () => undefined },
    logger: logger ?? { ...silentLogger, info: (facts) => void lines.push(facts) },
  })
  return { names, table, lines }
}

describe('the names of hosts', () => {
  it('are what the cluster gave, else what the host said, else nothing', async () => {
    const { names } = await open({ [c]: 'gateway' })
    names.hear(b, 'host-b')
    names.hear(c, 'host-c')
    expect(names.call([self, b, c, d])).toEqual({ [self]: 'host-a', [b]: 'host-b', [c]: 'gateway' })
    expect([names.nameOf(c), names.nameOf(d)]).toEqual(['gateway', undefined])
  })

  it('come with the id where two hosts have the same', async () => {
    const { names } = await open()
    names.hear(b, 'web')
    names.hear(c, 'web')
    expect(names.call([b, c])).toEqual({ [b]: `web (${b})`, [c]: `web (${c})` })
    expect(names.inWords(`${b} is banned`)).toBe(`${b} is banned`)
    names.hear(c, 'db')
    expect(names.inWords(`${b} is banned, ${c} and ${d} are not`)).toBe(`web is banned, db and ${d} are not`)
  })

  it('outlive the node that heard them', async () => {
    const { names, table } = await open()
    names.hear(b, 'host-b')
    names.hear(b, 'renamed')
    await names[Symbol.asyncDispose]()
    expect((await open({}, table)).names.nameOf(b)).toBe('renamed')
  })

  it('are so many at most', async () => {
    const { names, table } = await open()
    for (let i = 0; i < 4100; i++) names.hear(`peer-${i}`, `host-${i}`)
    await names[Symbol.asyncDispose]()
    expect(table.rows.size).toBe(4096)
    expect([names.nameOf('peer-3'), names.nameOf('peer-4')]).toEqual([undefined, 'host-4'])
  })

  it('of who says another each time are told and written seldom', async () => {
    const table = openTable()
    let written = 0
    const put = (peer: string, name: string) => {
      written++
      return table.put(peer, name)
    }
    const { names, lines } = await open({}, { ...table, put })
    for (let i = 0; i < 1_000; i++) for (const peer of [b, c]) names.hear(peer, `host-${i}`)
    await names[Symbol.asyncDispose]()
    expect([lines.length, written]).toEqual([4, 4])
    expect(names.nameOf(b)).toBe('host-999')
  })

  it('are told once in the line that says them', async () => {
    const lines: object[] = []
    const logger = namingLogger({ ...silentLogger, info: (facts) => void lines.push(facts) }, () => names)
    const { names } = await open({ [c]: 'gateway' }, openTable(), logger)
    names.hear(b, 'host-b')
    names.hear(c, 'host-c')
    expect(lines).toEqual([
      { member: b, memberName: 'host-b' },
      { member: c, memberName: 'gateway', name: 'host-c' },
    ])
  })

  it('stand in no text that a shell may be given where they are more than a word', async () => {
    for (const name of ['x; rm -rf /', '$(id)', 'a b', `${d}`, '"', '-f']) {
      expect(inWords(`shoal member unban ${b}`, { [b]: name })).toBe(`shoal member unban ${b}`)
    }
    expect(inWords(`shoal member unban ${b}`, { [b]: 'host-b' })).toBe('shoal member unban host-b')
  })

  it('change nothing else of a text', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (before, after) => {
        const text = `${before} ${b} ${after}`
        expect(inWords(text, { [b]: 'host-b' })).toBe(`${before} host-b ${after}`)
        expect(peersIn(text)).toEqual([b])
      }),
    )
  })

  it('stand in the log: beside the id for programs, in its place for people', async () => {
    const { names } = await open()
    names.hear(b, 'host-b')
    const lines: object[] = []
    const logger = namingLogger({ ...silentLogger, info: (facts) => void lines.push(facts) }, () => names)
    logger.info({ peer: b, ms: 3 }, 'member joined')
    logger.info({ peer: d, names: [b] }, 'member joined')
    expect(lines).toEqual([
      { peer: b, ms: 3, peerName: 'host-b' },
      { peer: d, names: [b] },
    ])
    const entry = { level: 30, time: '2026-11-27T00:00:00.000Z', msg: 'member joined', ...lines[0] }
    expect(prettyLine(entry, { colour: false })).toBe(
      '2026-11-27 00:00:00.000 INFO  member joined peer=host-b ms=3\n',
    )
  })
})
