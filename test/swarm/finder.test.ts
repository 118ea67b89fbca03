/** How long what a look-up found, or did not, is shared with those who ask later. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Background, noMetrics, silentLogger } from '../../src/base/base.ts'
import { digestBytes, parseRepository } from '../../src/oci/oci.ts'
import { haveMessage, wantedMessage } from '../../src/swarm/content-messages.ts'
import { createFinder, type Finder, type FinderOptions } from '../../src/swarm/finder.ts'
import { channelPair } from '../../src/wire/wire.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'

const wanted = { digest: digestBytes(Buffer.from('content')), repository: parseRepository('team/app') }

let clock: SteppedClock
let tasks: Background
let finder: Finder
/** What members answer; one that is not here never does. */
let answers: Map<string, 'yes' | 'no'>
let asked: string[]
let answered: Map<string, PromiseWithResolvers<void>>
let peers: string[]

beforeEach(() => {
  clock = new SteppedClock()
  tasks = new Background('the test', silentLogger)
  answers = new Map()
  asked = []
  answered = new Map()
  peers = ['one']
  const open = async (peer: string) => {
    const { a: here, b: there } = channelPair()
    const serve = async () => {
      const question = await there.receive()
      expect(question && wantedMessage.decode(question)).toEqual(wanted)
      asked.push(peer)
      const have = answers.get(peer)
      if (have !== undefined) await there.send(haveMessage.encode({ have }))
      answered.get(peer)?.resolve()
    }
    tasks.start('serve', serve)
    return here
  }
  const findProviders = async function* () {
    yield* []
  }
  finder = createFinder({
    node: { services: { dht: { findProviders } } },
    host: { open },
    members: { peers: () => peers },
    tasks,
    clock,
    isComplete: () => false,
    metrics: noMetrics,
  } as unknown as FinderOptions)
})
afterEach(async () => {
  await tasks[Symbol.asyncDispose]()
})

async function found(): Promise<string[]> {
  const list: string[] = []
  for await (const peer of finder.find(wanted)) list.push(peer)
  return list
}

describe('a look-up', () => {
  it('that found nobody is believed for half a second', async () => {
    answers.set('one', 'no')
    expect(await found()).toEqual([])
    answers.set('one', 'yes')
    clock.advance(499)
    expect(await found()).toEqual([])
    clock.advance(1)
    expect(await found()).toEqual(['one'])
    expect(asked).toEqual(['one', 'one'])
  })

  it('that found somebody is believed for five', async () => {
    answers.set('one', 'yes')
    expect(await found()).toEqual(['one'])
    clock.advance(4_999)
    expect(await found()).toEqual(['one'])
    expect(asked).toEqual(['one'])
    clock.advance(1)
    expect(await found()).toEqual(['one'])
    expect(asked).toEqual(['one', 'one'])
  })

  it('that waits for a hung member is not waited for by those who ask later, when another has it by then', async () => {
    peers = ['one', 'hung']
    answers.set('one', 'no')
    const first = Promise.withResolvers<void>()
    answered.set('one', first)
    const early = found()
    await first.promise
    clock.advance(500)
    answers.set('one', 'yes')
    const later = finder.find(wanted)[Symbol.asyncIterator]()
    expect(await later.next()).toEqual({ done: false, value: 'one' })
    expect(asked).toEqual(['one', 'hung', 'one', 'hung'])
    await tasks[Symbol.asyncDispose]()
    expect(await early).toEqual([])
  })
})
