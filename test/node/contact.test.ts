import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Contact, openContact } from '../../node/contact.ts'
import { anonymous, openAccess } from '../../src/access/access.ts'
import { silentLogger } from '../../src/base/base.ts'
import type { ChangedKey, Policy } from '../../src/records/records.ts'
import { TestAccounts } from '../access/fixture.ts'
import { ManualClock } from '../records/fixture.ts'

const hour = 60 * 60_000
const rules = [{ repositories: '**', who: ['anonymous'], may: ['pull' as const] }]
const limited: Policy = {
  rules: [],
  immutable: [],
  sealers: [],
  banned: [],
  access: rules,
  accessMaxAge: '24h',
}

let folder: string
let policy: Policy
let steady: ManualClock
let wall: ManualClock
let tell: (keys: ChangedKey[]) => void
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'shoal-contact-'))
  policy = limited
  steady = new ManualClock()
  wall = new ManualClock()
})
afterEach(() => rm(folder, { recursive: true }))

const open = (): Promise<Contact> =>
  openContact({
    directory: folder,
    names: {
      policy: () => policy,
      onChange(listener) {
        tell = listener
        return () => undefined
      },
    },
    steady,
    wall,
    logger: silentLogger,
  })
const passes = (ms: number): void => {
  steady.ms += ms
  wall.ms += ms
}

it('lets rules count for as long as the policy says since a member was heard last', async () => {
  await using contact = await open()
  contact.heard()
  passes(24 * hour)
  expect(contact.problem()).toBeUndefined()
  passes(1)
  expect(contact.problem()).toContain('no member for longer than 24h')
  const names = new TestAccounts()
  names.setRules(rules)
  using access = await openAccess({ names, contact })
  expect(access.may(anonymous, 'team/app', 'pull')).toBe(false)
  expect(access.outdated).toBe(contact.problem())
  contact.heard()
  expect(access.may(anonymous, 'team/app', 'pull')).toBe(true)
  expect(access.outdated).toBeUndefined()
})

it('counts over restarts, with the time that the node was stopped, and whatever its clock is set to', async () => {
  {
    await using contact = await open()
    contact.heard()
    passes(10 * hour)
    // Set back by a day: what had passed has passed.
    wall.ms -= 24 * hour
    passes(hour)
    expect(contact.ageMs()).toBe(11 * hour)
  }
  expect((await stat(path.join(folder, 'last-contact'))).mode & 0o077).toBe(0)
  passes(12 * hour)
  await using again = await open()
  expect(again.ageMs()).toBe(23 * hour)
  passes(hour + 1)
  expect(again.problem()).toBeDefined()
})

it('lets nobody in by a note that says nothing, until a member is heard', async () => {
  await writeFile(path.join(folder, 'last-contact'), 'torn')
  {
    await using contact = await open()
    expect(contact.problem()).toBeDefined()
  }
  await using contact = await open()
  expect(contact.problem()).toBeDefined()
  contact.heard()
  expect(contact.problem()).toBeUndefined()
})

it.each<[string, Partial<Policy>]>([
  ['without a limit', { access: rules }],
  ['without rules', { accessMaxAge: '24h' }],
])('limits nothing %s', async (_, given) => {
  const { access: _access, accessMaxAge: _age, ...rest } = limited
  policy = { ...rest, ...given }
  await using contact = await open()
  contact.heard()
  passes(1000 * hour)
  expect(contact.problem()).toBeUndefined()
})

it('follows the policy, and leaves a node in peace that never met a member', async () => {
  await using contact = await open()
  passes(1000 * hour)
  expect(contact.ageMs()).toBeUndefined()
  expect(contact.problem()).toBeUndefined()
  contact.heard()
  passes(25 * hour)
  expect(contact.problem()).toBeDefined()
  policy = { ...limited, accessMaxAge: '2d' }
  tell([{ kind: 'policy' }])
  expect(contact.problem()).toBeUndefined()
})
