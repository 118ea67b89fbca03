/**
 * Every order of events in small clusters, with what decides about immutable tags: which record stands, who seals, who is
 * refused. Any two nodes meet at any moment or never, so partitions and members that are away are among the orders; a
 * dishonest author, who backdates, gives each of its records to any node at any moment.
 */
import { describe, expect, it } from 'vitest'
import { beats, needsSeal, sealTimeOf } from '../../src/records/order.ts'
import { openPolicy, type Policy, policyValue } from '../../src/records/policy.ts'
import { authorOf, type SignedRecord, sealRecord, signRecord } from '../../src/records/record.ts'
import { Rules } from '../../src/records/rules.ts'
import type { Identity } from '../../src/wire/wire.ts'
import { alice, authority, bob, digestOf, identity, mediaType } from './fixture.ts'

const sinceMs = 10
const eve = identity(3)
const [one, two] = [identity(4), identity(5)]

const immutable: Policy = {
  rules: [{ repositories: '**', authors: [alice.peerId, bob.peerId, eve.peerId] }],
  immutable: [{ repositories: '**', tags: 'v*' }],
  sealers: [],
  banned: [],
}
const rulesOf = (policy: Policy): Rules =>
  new Rules(policyValue(policy, openPolicy, sinceMs), authority.publicKey)
const without = new Rules(openPolicy, authority.publicKey)
const sealedBy = (...sealers: Identity[]): Policy => ({
  ...immutable,
  sealers: sealers.map(({ peerId }) => peerId),
})

function tag(author: Identity, ms: number, content: string | null): SignedRecord {
  const value = content === null ? null : { digest: digestOf(content), mediaType, size: 1 }
  return signRecord({ kind: 'tag', key: 'app:v1', time: [ms, 0], value }, author)
}

const contents = ['a', 'b', 'evil', 'worse', 'old', 'newer']
function shown(record: SignedRecord | undefined): string | undefined {
  const { value } = record?.body ?? {}
  if (value === null || value === undefined || !('digest' in value)) return undefined
  return contents.find((content) => digestOf(content) === value.digest)
}

interface ModelNode {
  /** Which of the case's policies it has. */
  policy: number
  record: SignedRecord | undefined
  /** The tag as it was first shown here with a seal that counts. */
  seen: SignedRecord | undefined
}

interface State {
  nodes: ModelNode[]
  /** How often was sealed: the time of seals. */
  seals: number
  pushed: string[]
  governed: boolean
}

interface Case {
  policies: Rules[]
  /** The policy that all begin with. */
  first: number
  /** The keys with which nodes seal, where they may. */
  keys: (Identity | undefined)[]
  /** What honest authors push, and at which node. */
  pushes: { node: number; record: SignedRecord }[]
  /** What a dishonest one may give to any node at any time. */
  evil: SignedRecord[]
  /** What the authority does at node 0, once, as the last policy comes into force there or a record of its own. */
  govern?: { policy?: number; record?: SignedRecord }
}

const name = (record: SignedRecord | undefined): string =>
  record === undefined ? '-' : Buffer.from(record.envelope.hash).toString('base64', 0, 9)

const keyOf = ({ nodes, seals, pushed, governed }: State): string =>
  [
    ...nodes.map(({ policy, record, seen }) => `${policy}${name(record)}${name(seen)}`),
    seals,
    pushed,
    governed,
  ].join()

const sealed = new Map<string, SignedRecord>()
function seal(record: SignedRecord, ms: number, sealer: Identity): SignedRecord {
  const id = `${name(record)} ${ms} ${sealer.peerId}`
  const known = sealed.get(id) ?? sealRecord(record, ms, sealer)
  sealed.set(id, known)
  return known
}

/** One state in the making. */
class Step {
  readonly #case: Case
  readonly state: State

  constructor(given: Case, from: State) {
    this.#case = given
    this.state = { ...from, nodes: from.nodes.map((node) => ({ ...node })), pushed: [...from.pushed] }
  }

  node(n: number): ModelNode {
    const node = this.state.nodes[n]
    if (node === undefined) throw new RangeError(`no node ${n}`)
    return node
  }

  rules(n: number): Rules {
    return this.#case.policies[this.node(n).policy] ?? without
  }

  #set(n: number, record: SignedRecord): void {
    const node = this.node(n)
    const rules = this.rules(n)
    node.record = this.#sealedAt(n, record, rules)
    if (
      node.seen === undefined &&
      node.record.sealed !== undefined &&
      rules.isSealer(node.record.envelope.author)
    )
      node.seen = node.record
  }

  #sealedAt(n: number, record: SignedRecord, rules: Rules): SignedRecord {
    const key = this.#case.keys[n]
    if (key === undefined || !rules.isSealer(key.publicKey) || !needsSeal(record, rules)) return record
    return seal(record, sealTimeOf(record, rules) ?? 1000 + this.state.seals++, key)
  }

  take(n: number, record: SignedRecord): void {
    const { record: standing } = this.node(n)
    const rules = this.rules(n)
    if (standing !== undefined && (name(standing) === name(record) || !beats(record, standing, rules))) return
    if (rules.refusalOf(record) === undefined) this.#set(n, record)
  }

  push(n: number, record: SignedRecord): boolean {
    if (this.node(n).record !== undefined || this.rules(n).refusalOf(record) !== undefined) return false
    this.state.pushed.push(shown(record) ?? '')
    this.#set(n, record)
    return true
  }

  /** A policy comes: who may seal seals what stands. */
  learn(n: number, policy: number): void {
    const node = this.node(n)
    if (node.policy >= policy) return
    node.policy = policy
    if (node.record !== undefined) this.#set(n, node.record)
  }

  /** What no longer counts an hour after. */
  sweep(n: number): void {
    const node = this.node(n)
    const rules = this.rules(n)
    if (node.record === undefined || rules.refusalOf(node.record) === undefined) return
    const { original } = node.record.sealed ?? {}
    node.record = original !== undefined && rules.refusalOf(original) === undefined ? original : undefined
  }

  meet(a: number, b: number): void {
    const policy = Math.max(this.node(a).policy, this.node(b).policy)
    for (const n of [a, b]) this.learn(n, policy)
    const records = [this.node(a).record, this.node(b).record]
    for (const [n, record] of [
      [b, records[0]],
      [a, records[1]],
    ] as const) {
      if (record !== undefined) this.take(n, record)
    }
  }

  /** As `setPolicy`, and what the authority publishes. */
  govern({ policy, record }: { policy?: number; record?: SignedRecord }): void {
    this.state.governed = true
    if (policy !== undefined) {
      const node = this.node(0)
      const { record: standing } = node
      const next = this.#case.policies[policy] ?? without
      const goes =
        standing !== undefined &&
        this.rules(0).refusalOf(standing) === undefined &&
        next.refusalOf(standing) !== undefined
      node.policy = policy
      if (standing === undefined) return
      if (needsSeal(standing, next))
        node.record = seal(standing, sealTimeOf(standing, next) ?? 1000 + this.state.seals++, authority)
      else if (goes) node.record = adopted(standing)
    }
    if (record !== undefined) this.#set(0, record)
  }

  settle(): void {
    const size = this.state.nodes.length
    for (let pass = 0; pass < 8; pass++) {
      const before = keyOf(this.state)
      for (let a = 0; a < size; a++) for (let b = a + 1; b < size; b++) this.meet(a, b)
      if (keyOf(this.state) === before) return
    }
    expect.unreachable('the nodes keep exchanging records')
  }
}

function adopted(record: SignedRecord): SignedRecord {
  const [ms, counter] = record.body.time
  return signRecord({ ...record.body, time: [ms, counter + 1], origin: authorOf(record) }, authority)
}

/** Calls `check` with every state that can be reached, the one before it, and what both come to when all meet. */
function explore(
  given: Case,
  check: (state: State, before: State, end: State, endBefore: State) => void,
): number {
  const nodes = given.keys.map(() => ({ policy: given.first, record: undefined, seen: undefined }))
  const start: State = { nodes, seals: 0, pushed: [], governed: false }
  const known = new Set([keyOf(start)])
  const queue = [start]
  const ends = new Map([[start, start]])
  const from = (state: State, change: (step: Step) => unknown): void => {
    const step = new Step(given, state)
    if (change(step) === false) return
    const key = keyOf(step.state)
    if (known.has(key)) return
    known.add(key)
    queue.push(step.state)
    const end = new Step(given, step.state)
    end.settle()
    for (let n = 0; n < nodes.length; n++) end.sweep(n)
    end.settle()
    ends.set(step.state, end.state)
    check(step.state, state, end.state, ends.get(state) ?? start)
  }
  for (let state = queue.shift(); state !== undefined; state = queue.shift()) {
    const now = state
    for (const { node, record } of given.pushes) {
      if (!now.pushed.includes(shown(record) ?? '')) from(now, (step) => step.push(node, record))
    }
    for (let n = 0; n < nodes.length; n++) {
      for (const record of given.evil) from(now, (step) => step.take(n, record))
      for (let other = n + 1; other < nodes.length; other++) from(now, (step) => step.meet(n, other))
      from(now, (step) => step.sweep(n))
      // The policies that the case begins with come one after the other, the authority's last one only from node 0.
      const last = given.policies.length - (given.govern?.policy === undefined ? 1 : 2)
      if ((now.nodes[n]?.policy ?? 0) < last)
        from(now, (step) => step.learn(n, (now.nodes[n]?.policy ?? 0) + 1))
    }
    const { govern } = given
    if (govern !== undefined && !now.governed) from(now, (step) => step.govern(govern))
  }
  return known.size
}

/** All show the same, and nothing was lost: where something was pushed something stands. */
function expectAgreement({ nodes, pushed }: State): string | undefined {
  const [first] = nodes
  for (const { record } of nodes) expect(name(record)).toBe(name(first?.record))
  if (pushed.length > 0) expect(shown(first?.record)).toBeDefined()
  return shown(first?.record)
}

const pushes = [
  { node: 1, record: tag(alice, 100, 'a') },
  { node: 2, record: tag(bob, 101, 'b') },
]
const evil = [tag(eve, 99, 'evil'), tag(eve, sinceMs + 1, 'worse')]

describe('an immutable tag, whatever comes first', () => {
  it('is the same everywhere in the end, and never moves where it was seen sealed, with one sealer and the key away', () => {
    const given = {
      policies: [rulesOf(sealedBy(one))],
      first: 0,
      keys: [one, undefined, undefined, undefined],
      pushes,
      evil,
    }
    let sealedOnes = 0
    const states = explore(given, (state, before, end) => {
      for (const [n, { record, seen }] of state.nodes.entries()) {
        if (seen !== undefined) expect(shown(record)).toBe(shown(seen))
        if (before.nodes[n]?.seen !== undefined) expect(shown(record)).toBe(shown(before.nodes[n]?.record))
      }
      const last = expectAgreement(end)
      const anySeen = state.nodes.find(({ seen }) => seen !== undefined)?.seen
      if (anySeen === undefined) return
      sealedOnes++
      expect(last).toBe(shown(anySeen))
    })
    expect(sealedOnes).toBeGreaterThan(100)
    expect(states).toBeGreaterThan(500)
  })

  it('moves where it was seen sealed only to what another sealer sealed earlier, and ends the same', () => {
    const given = {
      policies: [rulesOf(sealedBy(one, two))],
      first: 0,
      keys: [one, undefined, two],
      pushes,
      evil,
    }
    const states = explore(given, (state, before, end) => {
      for (const [n, { record }] of state.nodes.entries()) {
        const { record: was, seen } = before.nodes[n] ?? {}
        if (seen === undefined || name(was) === name(record)) continue
        expect(record?.sealed?.ms).toBeLessThan(was?.sealed?.ms ?? 0)
      }
      expectAgreement(end)
      const earliest = Math.min(
        ...state.nodes.map(({ record }) => record?.sealed?.ms ?? Number.POSITIVE_INFINITY),
      )
      if (earliest < Number.POSITIVE_INFINITY) expect(end.nodes[0]?.record?.sealed?.ms).toBe(earliest)
    })
    expect(states).toBeGreaterThan(500)
  })

  it('ends the same without any sealer, as the earliest that was signed', () => {
    const given = {
      policies: [rulesOf(immutable)],
      first: 0,
      keys: [undefined, undefined, undefined],
      pushes,
      evil,
    }
    const states = explore(given, (state, _, end) => {
      const times = state.nodes.flatMap(({ record }) => (record === undefined ? [] : [record.body.time[0]]))
      expectAgreement(end)
      if (times.length > 0) expect(end.nodes[0]?.record?.body.time[0]).toBe(Math.min(...times))
    })
    expect(states).toBeGreaterThan(50)
  })

  it('ends the same when the policy comes late, and once seen sealed does not move', () => {
    const given = {
      policies: [without, rulesOf(sealedBy(one))],
      first: 0,
      keys: [one, undefined, undefined],
      pushes: [...pushes, { node: 1, record: tag(alice, sinceMs - 2, 'old') }],
      evil: [...evil, tag(eve, sinceMs - 1, 'newer')],
    }
    const states = explore(given, (state, _, end) => {
      for (const { record, seen } of state.nodes)
        if (seen !== undefined) expect(shown(record)).toBe(shown(seen))
      expectAgreement(end)
    })
    expect(states).toBeGreaterThan(500)
  })

  it.each<[string, Policy]>([
    ['no longer named', sealedBy(two)],
    ['banned', { ...sealedBy(two), banned: [one.peerId] }],
    ['banned, and none is left', { ...immutable, banned: [one.peerId] }],
  ])(
    'ends the same and is not lost when a sealer is %s, and one with its key has backdated a seal',
    (_, after) => {
      const [first] = evil
      if (first === undefined) throw new Error('a record')
      const given = {
        policies: [rulesOf(sealedBy(one, two)), rulesOf(after)],
        first: 0,
        keys: [undefined, one, two],
        pushes,
        evil: [first, seal(first, 1, one)],
        govern: { policy: 1 },
      }
      const states = explore(given, (_state, _before, end) => void expectAgreement(end))
      expect(states).toBeGreaterThan(500)
    },
  )

  it('does not move when a sealer is no longer named, once the authority has seen what it sealed', () => {
    const given = {
      policies: [rulesOf(sealedBy(one, two)), rulesOf(sealedBy(two))],
      first: 0,
      keys: [undefined, one, two],
      pushes,
      evil,
      govern: { policy: 1 },
    }
    let seen = 0
    explore(given, (state, before, end, endBefore) => {
      const standing = before.nodes[0]?.record
      if (state.governed === before.governed || standing?.sealed === undefined) return
      if (name(standing) !== name(endBefore.nodes[0]?.record)) return
      seen++
      expect(shown(end.nodes[0]?.record)).toBe(shown(standing))
    })
    expect(seen).toBeGreaterThan(20)
  })

  it('is not lost when its author is banned, once the authority has seen it', () => {
    const given = {
      policies: [rulesOf(sealedBy(one)), rulesOf({ ...sealedBy(one), banned: [alice.peerId] })],
      first: 0,
      keys: [undefined, one, undefined],
      pushes: pushes.slice(0, 1),
      evil: [],
      govern: { policy: 1 },
    }
    const states = explore(given, (state, _, end) => {
      const [first] = end.nodes
      for (const { record } of end.nodes) expect(name(record)).toBe(name(first?.record))
      if (state.governed && state.nodes[0]?.record !== undefined) expect(shown(first?.record)).toBe('a')
    })
    expect(states).toBeGreaterThan(20)
  })

  it('is gone everywhere once the authority has deleted it', () => {
    const given = {
      policies: [rulesOf(sealedBy(one, two))],
      first: 0,
      keys: [undefined, one, two],
      pushes,
      evil,
      govern: { record: tag(authority, 500, null) },
    }
    const states = explore(given, (_state, _before, end) => {
      if (end.governed) for (const { record } of end.nodes) expect(shown(record)).toBeUndefined()
      else expectAgreement(end)
    })
    expect(states).toBeGreaterThan(500)
  })
})
