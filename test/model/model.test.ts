import { describe, expect, it } from 'vitest'
import { type Answer, History, judge, type Read, type Write } from './model.ts'

const settleMs = 100
const clockErrorMs = 10
const app = 'team/app'

/** Three nodes; every write takes a millisecond. */
function cluster() {
  const history = new History({ nodes: ['a', 'b', 'c'], settleMs, clockErrorMs })
  const write = (
    atMs: number,
    node: string,
    what: Partial<Write> & { kind: Write['kind'] },
    outcome: Write['outcome'] = 'acknowledged',
  ): void => {
    const blank = { repository: app, digest: '', tag: '', tags: [], blobs: [], manifests: [] }
    const endMs = outcome === 'unknown' ? Number.POSITIVE_INFINITY : atMs + 1
    history.add({ ...blank, ...what, node, beginMs: atMs, endMs, outcome } as Write)
  }
  const wrong = (atMs: number, node: string, what: object, answer: Answer): string | undefined =>
    judge(history, { ...what, answer, node, repository: app, beginMs: atMs, endMs: atMs + 1 } as Read)
  const list = (atMs: number, node: string, tags: string[]): string | undefined =>
    judge(history, { kind: 'list', tags, node, repository: app, beginMs: atMs, endMs: atMs + 1 })
  return {
    history,
    push: (atMs: number, node: string, digest: string, tags: string[] = [], rest: object = {}) =>
      write(atMs, node, { kind: 'push', digest, tags, ...rest }),
    write,
    tag: (atMs: number, node: string, answer: Answer) => wrong(atMs, node, { kind: 'tag', tag: 't' }, answer),
    manifest: (atMs: number, node: string, digest: string, answer: Answer) =>
      wrong(atMs, node, { kind: 'manifest', digest }, answer),
    blob: (atMs: number, node: string, digest: string, answer: Answer) =>
      wrong(atMs, node, { kind: 'blob', digest }, answer),
    list,
  }
}

const absent: Answer = { is: 'absent' }
const unavailable: Answer = { is: 'unavailable' }
const found = (digest: string): Answer => ({ is: 'found', digest })

describe('a tag', () => {
  it('is seen at its own node at once, and elsewhere once that was told', () => {
    const { push, tag, list } = cluster()
    push(10, 'a', 'D', ['t'])
    expect(tag(5, 'a', absent)).toBeUndefined()
    expect(tag(5, 'a', found('D'))).toMatch(/is D/)
    expect(tag(20, 'a', found('D'))).toBeUndefined()
    expect(tag(20, 'a', absent)).toMatch(/is absent; allowed: D/)
    expect(tag(20, 'b', absent)).toBeUndefined()
    expect(tag(200, 'b', absent)).toMatch(/is absent/)
    expect(list(200, 'b', [])).toMatch(/t is not listed/)
    expect(list(200, 'b', ['t'])).toBeUndefined()
    expect(list(200, 'b', ['t', 'u'])).toMatch(/u is listed/)
  })

  it('is one of two that were pushed within the clocks’ error, and the later one beyond it', () => {
    const { push, tag } = cluster()
    push(10, 'a', 'D', ['t'])
    push(15, 'b', 'E', ['t'])
    for (const digest of ['D', 'E']) expect(tag(300, 'c', found(digest))).toBeUndefined()
    push(300, 'b', 'F', ['t'])
    expect(tag(500, 'c', found('F'))).toBeUndefined()
    expect(tag(500, 'c', found('E'))).toMatch(/is E; allowed: F/)
  })

  it('is never what was refused, and may be what nobody knows of', () => {
    const { write, tag } = cluster()
    write(10, 'a', { kind: 'push', digest: 'D', tags: ['t'] }, 'refused')
    expect(tag(300, 'a', found('D'))).toMatch(/is D/)
    write(20, 'a', { kind: 'push', digest: 'E', tags: ['t'] }, 'unknown')
    for (const answer of [found('E'), absent]) expect(tag(300, 'a', answer)).toBeUndefined()
  })

  it('stays away where a node cannot be told, and until then', () => {
    const { history, push, tag } = cluster()
    const heal = history.cut(0, ['a'], ['b', 'c'])
    push(10, 'a', 'D', ['t'])
    expect(tag(5_000, 'b', absent)).toBeUndefined()
    heal(6_000)
    expect(tag(6_050, 'b', absent)).toBeUndefined()
    expect(tag(6_200, 'b', absent)).toMatch(/is absent/)
  })

  it('is told by way of others, once a node that was down is back', () => {
    const { history, push, tag } = cluster()
    history.cut(0, ['a'], ['c'])
    const up = history.down(0, 'b')
    push(10, 'a', 'D', ['t'])
    up(1_000)
    expect(history.isSettled(1_150)).toBe(false)
    // Known at c by b, but its content may be out of reach.
    expect(history.isSettled(1_200)).toBe(true)
    expect(tag(1_300, 'c', absent)).toBeUndefined()
    expect(
      judge(history, {
        kind: 'tag',
        tag: 't',
        isHead: true,
        answer: absent,
        node: 'c',
        repository: app,
        beginMs: 1_300,
        endMs: 1_301,
      }),
    ).toMatch(/is absent/)
  })

  it('goes with its deletion, and with that of its manifest', () => {
    const one = cluster()
    one.push(10, 'a', 'D', ['t'])
    one.write(300, 'b', { kind: 'delete-tag', tag: 't' })
    expect(one.tag(500, 'c', found('D'))).toMatch(/is D; allowed: absent/)
    expect(one.manifest(500, 'c', 'D', absent)).toMatch(/is absent/)
    const other = cluster()
    other.push(10, 'a', 'D', ['t'])
    other.write(300, 'b', { kind: 'delete-manifest', digest: 'D' })
    expect(other.tag(500, 'c', found('D'))).toMatch(/is D; allowed: absent/)
    expect(other.list(500, 'c', ['t'])).toMatch(/t is listed/)
    expect(other.manifest(500, 'c', 'D', found('D'))).toMatch(/is D; allowed: absent/)
  })

  it('is there after a push that is later than a deletion elsewhere', () => {
    const { history, push, write, tag, manifest, list } = cluster()
    push(10, 'a', 'D', ['s'])
    const heal = history.cut(300, ['a'], ['b', 'c'])
    write(1_000, 'a', { kind: 'delete-manifest', digest: 'D' })
    push(3_000, 'b', 'D', ['t'])
    heal(4_000)
    for (const node of ['a', 'b', 'c']) {
      expect(tag(5_000, node, found('D'))).toBeUndefined()
      expect(tag(5_000, node, absent)).toMatch(/is absent; allowed: D/)
      expect(manifest(5_000, node, 'D', absent)).toMatch(/is absent/)
      expect(list(5_000, node, [])).toMatch(/t is not listed/)
      expect(list(5_000, node, ['t'])).toBeUndefined()
      expect(list(5_000, node, ['s', 't'])).toMatch(/s is listed/)
    }
  })

  it('may be gone or not where a push and a deletion of its manifest met', () => {
    const { push, write, tag, manifest } = cluster()
    push(10, 'a', 'D', ['t'])
    write(305, 'a', { kind: 'delete-manifest', digest: 'D' })
    push(300, 'b', 'D', ['t'])
    for (const answer of [found('D'), absent]) {
      expect(tag(600, 'c', answer)).toBeUndefined()
      expect(manifest(600, 'c', 'D', answer)).toBeUndefined()
    }
  })
})

describe('content', () => {
  it('has to be served where it is, and where its node can be reached', () => {
    const { history, push, write, tag, blob } = cluster()
    write(5, 'a', { kind: 'push-blob', digest: 'B' })
    push(10, 'a', 'D', ['t'], { blobs: ['B'] })
    for (const answer of [absent, unavailable]) {
      expect(blob(300, 'b', 'B', answer)).toMatch(/blob B/)
      expect(tag(300, 'b', answer)).toMatch(/tag t/)
    }
    const up = history.down(400, 'a')
    for (const answer of [absent, unavailable]) {
      expect(blob(600, 'b', 'B', answer)).toBeUndefined()
      expect(tag(600, 'b', answer)).toBeUndefined()
    }
    up(700)
    expect(tag(900, 'b', unavailable)).toMatch(/is unavailable/)
    history.lose(1_000, 'a')
    expect(tag(1_100, 'b', unavailable)).toBeUndefined()
  })

  it('has to be served by its own node as soon as that is back', () => {
    const { history, push, write, blob } = cluster()
    write(5, 'a', { kind: 'push-blob', digest: 'B' })
    push(10, 'a', 'D', ['t'], { blobs: ['B'] })
    const up = history.down(400, 'a')
    expect(blob(600, 'a', 'B', unavailable)).toBeUndefined()
    up(700)
    expect(blob(701, 'a', 'B', absent)).toMatch(/is absent/)
    expect(blob(701, 'b', 'B', absent)).toBeUndefined()
  })

  it('may be out of reach for the sake of a damaged file, unless somebody else was pushed it', () => {
    const { history, push, write, blob } = cluster()
    write(5, 'a', { kind: 'push-blob', digest: 'B' })
    push(10, 'a', 'D', ['t'], { blobs: ['B'] })
    push(10, 'a', 'E', ['u'], { blobs: ['C'] })
    write(5, 'a', { kind: 'push-blob', digest: 'C' })
    history.lose(100, 'a', ['B'])
    expect(blob(300, 'a', 'B', absent)).toBeUndefined()
    expect(blob(300, 'a', 'C', absent)).toMatch(/is absent/)
    push(310, 'b', 'D', ['t'], { blobs: ['B'] })
    expect(blob(600, 'a', 'B', absent)).toMatch(/is absent/)
  })

  it('is nobody’s who deleted it, though it was pushed again elsewhere', () => {
    const { history, push, write, blob } = cluster()
    write(5, 'a', { kind: 'push-blob', digest: 'B' })
    push(10, 'a', 'D', ['t'], { blobs: ['B'] })
    write(300, 'a', { kind: 'delete-manifest', digest: 'D' })
    push(600, 'b', 'D', ['t'], { blobs: ['B'] })
    history.down(700, 'b')
    expect(blob(900, 'c', 'B', absent)).toBeUndefined()
  })

  it('is nothing else than what was asked for', () => {
    const { push, write, blob, manifest } = cluster()
    write(5, 'a', { kind: 'push-blob', digest: 'B' })
    push(10, 'a', 'D', ['t'], { blobs: ['B'] })
    expect(blob(300, 'b', 'B', found('X'))).toMatch(/is X/)
    expect(manifest(300, 'b', 'D', found('X'))).toMatch(/is X/)
    expect(blob(300, 'b', 'never', found('never'))).toMatch(/is never/)
  })

  it('may be gone when no manifest refers to it, or it was deleted', () => {
    const { push, write, blob } = cluster()
    write(5, 'a', { kind: 'push-blob', digest: 'B' })
    expect(blob(300, 'a', 'B', absent)).toBeUndefined()
    push(310, 'a', 'D', ['t'], { blobs: ['B'] })
    expect(blob(320, 'a', 'B', absent)).toMatch(/is absent/)
    write(330, 'a', { kind: 'delete-blob', digest: 'B' })
    expect(blob(340, 'a', 'B', absent)).toBeUndefined()
  })

  it('may be given up without a tag after its time, and not before or as part of an index', () => {
    const { history, push } = cluster()
    push(10, 'a', 'D')
    push(20, 'a', 'I', ['t'], { manifests: ['D'] })
    push(30, 'a', 'E', ['u'])
    push(40, 'a', 'F', ['u'])
    const gone = (digest: string, atMs: number) =>
      judge(
        history,
        {
          kind: 'manifest',
          digest,
          answer: absent,
          node: 'a',
          repository: app,
          beginMs: atMs,
          endMs: atMs + 1,
        },
        { untaggedMs: 1_000 },
      )
    expect(gone('E', 500)).toMatch(/is absent/)
    expect(gone('E', 2_000)).toBeUndefined()
    for (const digest of ['D', 'F', 'I']) expect(gone(digest, 2_000)).toMatch(/is absent/)
  })
})
