import { describe, expect, it } from 'vitest'
import { Revisions } from '../../../node/page/server/revisions.ts'
import { parseRepository, type Repository, type Tag } from '../../../src/oci/oci.ts'
import type { ChangedKey } from '../../../src/records/records.ts'

const reads = (...repositories: string[]) => ({ may: (name: Repository) => repositories.includes(name) })
const tag = (repository: string): ChangedKey => ({
  kind: 'tag',
  repository: parseRepository(repository),
  tag: '1' as Tag,
  deleted: false,
})

describe('a change of the ledger', () => {
  it('is told to who may read its repository, once, and to nobody else', () => {
    const revisions = new Revisions()
    revisions.changed([tag('team/app'), { kind: 'account', name: 'ann', deleted: false }])
    const changed = revisions.take()
    expect([changed(reads('team/app')), changed(reads('open/app')), changed(reads())]).toEqual([
      true,
      false,
      false,
    ])
    expect(revisions.take()(reads('team/app'))).toBe(false)
  })

  it('costs each reader a bounded look at once, however many there are, and is told all the same', () => {
    const revisions = new Revisions()
    const names = Array.from({ length: 5_000 }, (_, n) => `other/app-${n}`)
    revisions.changed([...names, 'team/app'].map(tag))
    let looked = 0
    const reader = {
      may(name: Repository) {
        looked++
        return name === 'team/app'
      },
    }
    const turns: number[] = []
    let isTold = false
    for (; !isTold && turns.length < 100; looked = 0) {
      isTold = revisions.take()(reader)
      turns.push(looked)
    }
    expect(isTold).toBe(true)
    expect(Math.max(...turns)).toBeLessThanOrEqual(256)
    expect(turns.length).toBeLessThanOrEqual(20)
    expect(revisions.take()(reader)).toBe(false)
  })

  it('is told to everybody where it is the policy, which decides on what is seen', () => {
    const revisions = new Revisions()
    revisions.changed([{ kind: 'policy' }])
    expect(revisions.take()(reads())).toBe(true)
  })
})
