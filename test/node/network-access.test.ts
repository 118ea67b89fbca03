import { describe, expect, it } from 'vitest'
import {
  checkNetworkAccess,
  closedProblem,
  needsAccessRules,
  tellOfAccessRules,
  untilAccessRules,
} from '../../node/network-access.ts'
import { readSettings } from '../../node/settings/settings.ts'
import { anonymous, openAccess } from '../../src/access/access.ts'
import { silentLogger } from '../../src/base/base.ts'
import type { ChangedKey, Policy } from '../../src/records/records.ts'
import { basic, person, TestAccounts } from '../access/fixture.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'

const open: Policy = { rules: [], immutable: [], sealers: [], banned: [] }
const governed: Policy = { ...open, access: [{ repositories: '**', who: ['anyone'], may: ['pull'] }] }

/** What a node knows of the policy: nothing yet, or that one. */
function knowing(first: Policy | undefined) {
  let policy = first
  const listeners = new Set<(keys: ChangedKey[]) => void>()
  return {
    policy: () => policy ?? open,
    findRecord: () => (policy === undefined ? undefined : new Uint8Array(1)),
    onChange(listener: (keys: ChangedKey[]) => void) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    hear(next: Policy) {
      policy = next
      for (const listener of listeners) listener([])
    },
    listeners,
  }
}

const settingsOf = (...flags: string[]) => readSettings(flags, {}).settings
const network = ['--http', '0.0.0.0:5000']
const tls = [...network, '--tls', 'self']

describe('clients of other hosts', () => {
  it.each([
    [['--http', '127.0.0.1:5000'], open],
    [['--http', '127.0.0.2:5000'], open],
    [['--http', '[::1]:5000'], open],
    [['--http', 'localhost:5000'], open],
    [tls, governed],
    [[...network, '--tls-cert', 'c', '--tls-key', 'k'], governed],
    [[...network, '--allow-anonymous-network'], open],
    [[...tls, '--allow-anonymous-network'], open],
  ])('are served, or are none: %j', (flags, policy) => {
    expect(checkNetworkAccess(settingsOf(...flags), knowing(policy))).toBe('now')
  })

  it.each([
    [network, open, 'would cross the network unprotected'],
    [network, governed, 'would cross the network unprotected'],
    [[...network, '--join', 'token'], undefined, 'would cross the network unprotected'],
    [['--http', '192.0.2.1:5000'], open, '192.0.2.1 is reached from other hosts'],
    [['--http', '[::]:5000'], open, ':: is reached from other hosts'],
    [['--http', 'host-a:5000'], open, 'host-a is reached from other hosts'],
    [tls, open, 'the policy has no access rules'],
    [tls, { ...governed, access: [] }, 'the policy has no access rules'],
    [tls, undefined, 'the policy has no access rules'],
    [[...tls, '--join', 'token'], open, 'the policy has no access rules'],
  ])('are not served without TLS and rules, and it is said what to do: %j', (flags, policy, why) => {
    const check = () => checkNetworkAccess(settingsOf(...flags), knowing(policy))
    expect(check).toThrow(why)
    expect(check).toThrow(/Add .* or listen on 127.0.0.1; --allow-anonymous-network/)
  })

  it('are not served, and only what is missing is asked for', () => {
    const refusalOf = (flags: string[], policy: Policy) => () =>
      checkNetworkAccess(settingsOf(...flags), knowing(policy))
    expect(refusalOf(network, open)).toThrow(/Add --tls self \(or .*\) and access rules \(/)
    expect(refusalOf(network, governed)).toThrow(/Add --tls self \(or [^)]*\), or listen/)
    expect(refusalOf(tls, open)).toThrow(/Add access rules \(/)
  })

  it('wait for the rules of the cluster that the node has just joined', async () => {
    const [names, clock] = [knowing(undefined), new SteppedClock()]
    const settings = settingsOf(...tls, '--join', 'token')
    expect(checkNetworkAccess(settings, names)).toBe('later')
    const waiting = untilAccessRules(settings, names, clock)
    names.hear(governed)
    await waiting
    expect(names.listeners.size).toBe(0)
  })

  it.each([open, undefined])('wait in vain where there are none: %j', async (policy) => {
    const [names, clock] = [knowing(undefined), new SteppedClock()]
    const waiting = untilAccessRules(settingsOf(...tls), names, clock)
    const refused = expect(waiting).rejects.toThrow('no member has told this node of access rules')
    if (policy === undefined) await clock.pass(30_000)
    else names.hear(policy)
    await refused
  })

  it('are let in no more once the rules are gone, which is told once, and again when there are some', async () => {
    const names = new TestAccounts()
    const settings = settingsOf(...tls)
    const told: string[] = []
    const logger = {
      ...silentLogger,
      error: (_fields: object, text: string) => void told.push(text),
      info: (_fields: object, text: string) => void told.push(text),
    }
    names.setRules(governed.access ?? [])
    using _telling = tellOfAccessRules(settings, names, logger)
    using access = await openAccess({ names, needsRules: needsAccessRules(settings) })
    names.set('ann', person('secret of ann'))
    const ann = await access.identify(basic('ann', 'secret of ann'), '192.0.2.1')
    expect(access.may(ann, 'team/app', 'pull')).toBe(true)
    names.setRules([])
    for (const asker of [anonymous, ann]) {
      expect(access.may(asker, 'team/app', 'pull')).toBe(false)
      expect(access.mayEverywhere(asker, 'pull')).toBe(false)
      expect(access.maySomewhere(asker, 'pull')).toBe(false)
    }
    expect(access.isOn).toBe(true)
    expect(closedProblem(settings, names)).toContain('nobody is let in at 0.0.0.0')
    names.set('bob', person('secret of bob'))
    names.setRules(governed.access ?? [])
    expect(access.may(ann, 'team/app', 'pull')).toBe(true)
    expect(told).toEqual([
      expect.stringMatching(/no access rules any more.*; set rules \(.*--allow-anonymous-network$/),
      expect.stringContaining('has access rules again'),
    ])
  })

  it.each<[string[], Policy, RegExp | undefined]>([
    [['--http', '127.0.0.1:5000'], open, undefined],
    [['--http', '0.0.0.0:5000', '--tls', 'self'], governed, undefined],
    [
      ['--http', '0.0.0.0:5000', '--allow-anonymous-network'],
      open,
      /^whoever reaches 0\.0\.0\.0:5000 may pull, push/,
    ],
    [
      ['--http', '[::]:5000', '--allow-anonymous-network'],
      governed,
      /^what clients of \[::\]:5000 say .* unprotected/,
    ],
    [['--http', '0.0.0.0:5000', '--allow-anonymous-network', '--tls', 'self'], governed, undefined],
  ])('tell the log at the start what everybody may: %j', (flags, policy, words) => {
    const told: string[] = []
    const logger = { ...silentLogger, warn: (_: object, message: string) => void told.push(message) }
    const names = knowing(policy)
    using _telling = tellOfAccessRules(settingsOf(...flags), names, logger)
    expect(told).toEqual(words === undefined ? [] : [expect.stringMatching(words)])
  })

  it.each([
    ['127.0.0.1:5000', []],
    ['0.0.0.0:5000', ['--allow-anonymous-network']],
  ])('are let in without rules at %s with %j', async (http, flags) => {
    const settings = settingsOf('--http', http, ...flags)
    using access = await openAccess({ names: new TestAccounts(), needsRules: needsAccessRules(settings) })
    expect(access.may(anonymous, 'team/app', 'delete')).toBe(true)
    expect(closedProblem(settings, new TestAccounts())).toBeUndefined()
  })
})
