/**
 * Every order of events in small clusters, with what decides which key governs: who hands over, who meets whom, what has been
 * followed for long, and when a thief of the old key, or those that it named for that, say something to whom.
 */
import { describe, expect, it } from 'vitest'
import { approve, type Handover, judgeChains, signGrant, signHandover } from '../../src/records/succession.ts'
import type { Identity } from '../../src/wire/wire.ts'
import { authority, identity } from './fixture.ts'

const [first, second, thief, replacement, keeper] = [1, 2, 3, 4, 5].map((n) => identity(40 + n)) as [
  Identity,
  Identity,
  Identity,
  Identity,
  Identity,
]
const grant = signGrant({ keys: [keeper.publicKey], need: 1 }, authority)
const stolenGrant = signGrant({ keys: [thief.publicKey], need: 1 }, authority)

function replacedBy(signer: Identity, to: Identity, granted: Uint8Array): Handover {
  const statement = { from: authority.publicKey, to: to.publicKey, at: 1 }
  return { ...statement, grant: granted, signatures: [approve(statement, signer)] }
}

const links = {
  first: signHandover(authority, first.publicKey, 10),
  second: signHandover(authority, second.publicKey, 11),
  stolen: signHandover(authority, thief.publicKey, 1),
  stolenGrant: replacedBy(thief, thief, stolenGrant),
  replacement: replacedBy(keeper, replacement, grant),
}
type Link = keyof typeof links

interface ModelNode {
  follows: Link | undefined
  settled: boolean
}

interface State {
  nodes: ModelNode[]
  /** What has been done once. */
  done: string[]
}

const memoryOf = (node: ModelNode) => ({
  isSettled: () => node.settled,
  // All knew the authority, and its grant for long, before anything happened.
  grantsOf: () => [grant],
})
const chainOf = (link: Link | undefined): Handover[] => (link === undefined ? [] : [links[link]])

function offer(node: ModelNode, link: Link | undefined): ModelNode {
  const { stands } = judgeChains(chainOf(link), chainOf(node.follows), memoryOf(node))
  return stands === 'candidate' ? { follows: link, settled: false } : node
}

function meet(nodes: ModelNode[], a: number, b: number): ModelNode[] {
  const [one, two] = [nodes[a], nodes[b]]
  if (one === undefined || two === undefined) return nodes
  return nodes.with(a, offer(one, two.follows)).with(b, offer(two, one.follows))
}

function settleAll(nodes: ModelNode[]): ModelNode[] {
  let now = nodes
  for (let pass = 0; pass < 4; pass++)
    for (let a = 0; a < now.length; a++) for (let b = a + 1; b < now.length; b++) now = meet(now, a, b)
  return now
}

interface Case {
  /** Which link is made at which node, once. */
  made: [Link, number][]
  /** Told by somebody to any node at any time. */
  told: Link[]
  /** Whether an hour may pass at a node. */
  settles: boolean
}

/** All states that can be reached, each with the step to it. */
function explore({ made, told, settles }: Case, look: (before: State, after: State) => void): State[] {
  const start: State = { nodes: [0, 1, 2].map(() => ({ follows: undefined, settled: false })), done: [] }
  const seen = new Map([[JSON.stringify(start), start]])
  const queue = [start]
  for (let state = queue.pop(); state !== undefined; state = queue.pop()) {
    const { nodes, done } = state
    const steps: State[] = []
    for (const [link, n] of made) {
      const node = nodes[n]
      // The key that hands over has to govern there.
      if (
        node === undefined ||
        done.includes(link) ||
        (node.follows !== undefined && links[link].grant === undefined)
      )
        continue
      steps.push({ nodes: nodes.with(n, offer(node, link)), done: [...done, link].sort() })
    }
    for (const [n, node] of nodes.entries()) {
      for (const link of told) steps.push({ nodes: nodes.with(n, offer(node, link)), done })
      if (settles && node.follows !== undefined)
        steps.push({ nodes: nodes.with(n, { ...node, settled: true }), done })
      for (let other = n + 1; other < nodes.length; other++)
        steps.push({ nodes: meet(nodes, n, other), done })
    }
    for (const next of steps) {
      look(state, next)
      const name = JSON.stringify(next)
      if (seen.has(name)) continue
      seen.set(name, next)
      queue.push(next)
    }
  }
  return [...seen.values()]
}

const both: Case['made'] = [
  ['first', 0],
  ['second', 1],
]

describe('in every order of events', () => {
  it('nodes that meet within the hour follow one key, whoever handed over how often', () => {
    const states = explore({ made: both, told: ['stolen', 'stolenGrant'], settles: false }, () => undefined)
    expect(states.length).toBeGreaterThan(20)
    for (const { nodes } of states)
      expect(new Set(settleAll(nodes).map(({ follows }) => follows)).size).toBe(1)
  })

  it('a node that has followed a key for an hour leaves it only for a replacement that it knows of', () => {
    let kept = 0
    explore(
      { made: [...both, ['replacement', 2]], told: ['stolen', 'stolenGrant'], settles: true },
      (before, after) => {
        for (const [n, { follows, settled }] of before.nodes.entries()) {
          const now = after.nodes[n]?.follows
          if (settled && now !== 'replacement') expect(now).toBe(follows)
          if (settled) kept++
        }
      },
    )
    expect(kept).toBeGreaterThan(0)
  })

  it('no node believes what a thief of the key grants itself', () => {
    const states = explore({ made: both, told: ['stolen', 'stolenGrant'], settles: true }, () => undefined)
    expect(states.flatMap(({ nodes }) => nodes).some(({ follows }) => follows === 'stolen')).toBe(true)
    expect(states.flatMap(({ nodes }) => nodes).some(({ follows }) => follows === 'stolenGrant')).toBe(false)
  })

  it('those that the authority named bring all nodes together again, whatever had come before', () => {
    const states = explore({ made: both, told: ['stolen', 'stolenGrant'], settles: true }, () => undefined)
    for (const { nodes } of states) {
      const [node, ...rest] = nodes
      if (node === undefined) continue
      const all = settleAll([offer(node, 'replacement'), ...rest])
      expect(all.map(({ follows }) => follows)).toEqual(['replacement', 'replacement', 'replacement'])
    }
  })
})
