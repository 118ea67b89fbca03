import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openAccessMark } from '../../node/access-mark.ts'
import { anonymous, openAccess } from '../../src/access/access.ts'
import { silentLogger } from '../../src/base/base.ts'
import { TestAccounts } from '../access/fixture.ts'

let folder: string
let names: TestAccounts
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'shoal-mark-'))
  names = new TestAccounts()
})
afterEach(() => rm(folder, { recursive: true }))

const rules = [{ repositories: '**', who: ['anonymous'], may: ['pull' as const] }]

/** What anybody may at a node that starts with what there is, and does with `change` what happens next. */
async function mayPull(change?: () => void): Promise<boolean> {
  await using mark = openAccessMark(folder, names, silentLogger)
  using access = await openAccess({ names, mark })
  change?.()
  return access.may(anonymous, 'team/app', 'pull')
}

it('a node that lost the policy lets nobody in, until it is told the rules anew', async () => {
  names.setRules(rules)
  expect(await mayPull()).toBe(true)
  names.losePolicy()
  expect(await mayPull()).toBe(false)
  expect(await mayPull(() => names.findPolicy(rules))).toBe(true)
})

it('a node that loses the policy while it runs closes at once', async () => {
  names.setRules(rules)
  expect(await mayPull(() => names.losePolicy())).toBe(false)
})

it('rules that the policy no longer has close nothing after that', async () => {
  names.setRules(rules)
  expect(await mayPull(() => names.setRules([]))).toBe(true)
  names.losePolicy()
  expect(await mayPull()).toBe(true)
})

it('a cluster that never had rules is as open as before', async () => {
  names.losePolicy()
  expect(await mayPull()).toBe(true)
})
