import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { steadyClock, wallClock } from '../../src/base/base.ts'

afterEach(() => vi.restoreAllMocks())

describe('when the clock of the host is set', () => {
  it.each([1, -1])('the steady clock goes on as before: %#', (direction) => {
    const before = steadyClock.now()
    const realNow = Date.now()
    vi.spyOn(Date, 'now').mockReturnValue(realNow + direction * 365 * 86_400_000)
    expect(wallClock.now()).toBe(realNow + direction * 365 * 86_400_000)
    const after = steadyClock.now()
    expect(after).toBeGreaterThanOrEqual(before)
    expect(after - before).toBeLessThan(60_000)
  })
})

/** Where the time of day is meant: it is signed, compared with what was signed, logged, or shown. */
const askers = [
  'node/cluster/cluster.ts',
  'node/cluster/mirror.ts',
  'node/command-line/signed-accounts.ts',
  'node/command-line/signed-invitations.ts',
  'node/command-line/signed-members.ts',
  'node/commands/account.ts',
  'node/commands/keep.ts',
  'node/commands/token.ts',
  'node/daemon.ts',
  'node/local-node.ts',
  'node/operations/account.ts',
  'node/operations/authority.ts',
  'node/operations/invitation.ts',
  'node/operations/member.ts',
  'node/page/server/accounts.ts',
  'node/retention.ts',
  'node/tls/tls.ts',
  'src/access/door.ts',
  'src/base/base.ts',
  'src/base/clock.ts',
  'src/base/tracer.ts',
  'src/records/conversation.ts',
  'src/records/ledger.ts',
  'src/swarm/cluster/secrets.ts',
]

it('is asked for the time of day where that is meant, and for durations nowhere', () => {
  const root = join(import.meta.dirname, '../..')
  const files = ['src', 'node']
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true }).map((name) => `${folder}/${name}`),
    )
    .filter((name) => name.endsWith('.ts') && !name.startsWith('node/page/client'))
  const asking = files.filter((name) =>
    /\bwallClock\b|\bDate\.now\b|new Date\(\)/.test(readFileSync(join(root, name), 'utf8')),
  )
  expect(asking.toSorted()).toEqual(askers)
})
