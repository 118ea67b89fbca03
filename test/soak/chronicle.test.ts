import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Chronicle, printedCall, type ReadFacts } from './chronicle.ts'

const repository = 'soak/web'
const blob = 'sha256:b'
const push = {
  kind: 'push',
  repository,
  digest: 'sha256:d',
  tags: ['t'],
  blobs: [blob],
  manifests: [],
} as const
const written = { ...push, tags: ['t'], blobs: [blob], manifests: [] }

let stack: AsyncDisposableStack
let chronicle: Chronicle
let nowMs = 1_000

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  const folder = await mkdtemp(path.join(tmpdir(), 'shoal-chronicle-'))
  stack.defer(() => rm(folder, { recursive: true }))
  nowMs = 1_000
  chronicle = stack.use(new Chronicle(path.join(folder, 'calls.jsonl'), { now: () => nowMs, nodes: 3 }))
})
afterEach(async () => await stack.disposeAsync())

function acknowledge(node: number): void {
  const end = chronicle.beginWrite(node, 'push', written)
  nowMs += 10
  end('acknowledged', '201')
}

function read(node: number, facts: ReadFacts): void {
  nowMs += 10
  chronicle.addRead(node, 'pull', nowMs - 5, facts, 'GET')
}

const tagIs = (digest?: string): ReadFacts => ({
  kind: 'tag',
  repository,
  tag: 't',
  answer: digest === undefined ? { is: 'absent' } : { is: 'found', digest },
})
const blobGone: ReadFacts = { kind: 'blob', repository, digest: blob, answer: { is: 'absent' } }
const wrongs = (isSettled = false): string[] => chronicle.judgeReads({ isSettled }).map(({ wrong }) => wrong)

describe('a chronicle', () => {
  it('finds what its own node has lost at once, and what others were not told after a round', () => {
    acknowledge(0)
    read(1, tagIs())
    expect(wrongs()).toEqual([])
    read(0, tagIs())
    expect(wrongs()).toEqual([expect.stringContaining('the tag t of soak/web at node 0')])
    read(1, tagIs())
    expect(wrongs(true)).toEqual([expect.stringContaining('is absent')])
    expect(wrongs(true)).toEqual([])
  })

  it('takes a write that is under way for one that may have happened', () => {
    const end = chronicle.beginWrite(0, 'push', written)
    read(0, tagIs())
    read(0, tagIs('sha256:d'))
    expect(wrongs()).toEqual([])
    end('refused')
    read(0, tagIs('sha256:d'))
    expect(wrongs()).toHaveLength(1)
  })

  it('judges no read that was only noted', () => {
    acknowledge(0)
    chronicle.noteRead(0, 'pull', nowMs, tagIs(), 'GET, 507')
    expect(wrongs()).toEqual([])
  })

  it('excuses a file that was damaged, and a node that was away', () => {
    acknowledge(0)
    read(0, blobGone)
    expect(wrongs()).toHaveLength(1)
    const up = chronicle.down(0)
    read(0, blobGone)
    up()
    expect(wrongs()).toEqual([])
    chronicle.lose(0, blob)
    read(0, blobGone)
    expect(wrongs()).toEqual([])
  })

  it('begins a round with what stands, held or not, and with nothing else', () => {
    acknowledge(0)
    nowMs += 1_000_000
    chronicle.beginRound([{ write: { ...written, digest: 'sha256:e' }, node: 2, isHeld: true }], 0)
    for (const node of [0, 1, 2]) read(node, tagIs('sha256:e'))
    expect(wrongs()).toEqual([])
    read(2, blobGone)
    read(0, tagIs('sha256:d'))
    expect(wrongs()).toHaveLength(2)
    chronicle.beginRound([{ write: { ...written, digest: 'sha256:e' }, node: 2, isHeld: false }], 0)
    read(2, blobGone)
    expect(wrongs()).toEqual([])
  })

  it('shows the calls on a name in words', () => {
    acknowledge(0)
    read(1, tagIs())
    const calls = chronicle.about({ repository, tag: 't' }).map(printedCall)
    expect(calls).toEqual([
      expect.stringMatching(
        /^#0 \+1\.000 to \+1\.010 node 0, push: push soak\/web:t@sha256:d acknowledged \(201\)$/,
      ),
      expect.stringMatching(/node 1, pull: read soak\/web:t absent \(GET\)$/),
    ])
    expect(chronicle.about({ repository: 'soak/api', tag: 't' })).toEqual([])
  })
})
