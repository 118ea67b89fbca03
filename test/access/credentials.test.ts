import type * as crypto from 'node:crypto'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { type Access, hashPassword, hashSecret, makeSecret, openAccess } from '../../src/access/access.ts'
import { basic, person, robot, TestAccounts } from './fixture.ts'

/** How many password hashes were made. */
const hashes = vi.hoisted(() => ({ made: 0, atOnce: 0, most: 0 }))
vi.mock('node:crypto', async (original) => {
  const real = await original<typeof crypto>()
  return {
    ...real,
    argon2: (...[algorithm, options, done]: Parameters<typeof real.argon2>) => {
      hashes.made++
      hashes.most = Math.max(hashes.most, ++hashes.atOnce)
      // What the real parameters cost is not what is tested.
      real.argon2(algorithm, { ...options, memory: 8, passes: 1 }, (...result) => {
        hashes.atOnce--
        done(...result)
      })
    },
  }
})

const here = '127.0.0.1'
let accounts: TestAccounts
let access: Access
beforeEach(async () => {
  accounts = new TestAccounts()
  accounts.set('ann', person('right'))
  const { clock } = accounts
  access = await openAccess({ names: accounts, clock, steady: clock })
  hashes.made = hashes.most = 0
})

const nameOf = async (authorization: string, client = here): Promise<string | undefined> =>
  (await access.identify(authorization, client)).name
const refusalOf = async (authorization: string, client = here): Promise<unknown> => {
  try {
    return await nameOf(authorization, client)
  } catch (error) {
    return error
  }
}

describe('credentials', () => {
  it('say who it is', async () => {
    expect(await nameOf(basic('ann', 'right'))).toBe('ann')
    await expect(nameOf(basic('ann', 'wrong'))).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      account: 'ann',
    })
  })

  it('may hold what a header has to escape', async () => {
    accounts.set('ann', person('p:ä ß€ "x"'))
    expect(await nameOf(basic('ann', 'p:ä ß€ "x"'))).toBe('ann')
  })

  it.each([
    ['a token of another', 'Bearer eyJhbGciOi.x.y'],
    ['no base64', 'Basic ann:right'],
    ['no colon', `Basic ${Buffer.from('ann').toString('base64')}`],
    ['another scheme', 'Digest username="ann"'],
    ['nothing', ''],
    ['far too much', basic('ann', 'x'.repeat(100_000))],
    ['far too many spaces', `Basic ${' '.repeat(3000)}x`],
  ])('that are %s are wrong, and cost no hash', async (_, authorization) => {
    await expect(nameOf(authorization)).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
    expect(hashes.made).toBe(0)
  })

  it('that are empty are nobody’s', async () => {
    expect(await nameOf(basic('', ''))).toBeUndefined()
  })

  it('cost one hash for a thousand requests, also where these come at once', async () => {
    const right = basic('ann', 'right')
    await Promise.all(Array.from({ length: 50 }, () => nameOf(right)))
    for (let n = 0; n < 950; n++) await nameOf(right)
    expect(hashes.made).toBe(1)
    expect(accounts.lookUps).toBeLessThan(5)
  })

  it('cost one hash however the header is written', async () => {
    const encoded = basic('ann', 'right').slice('Basic '.length)
    const written = [
      `Basic ${encoded}`,
      `basic ${encoded}`,
      `BASIC   ${encoded}`,
      `Basic ${encoded.replace(/=+$/, '')}`,
    ]
    for (let n = 0; n < 100; n++) written.push(`Basic ${' '.repeat(n)}${encoded}`)
    for (const authorization of written) expect(await nameOf(authorization)).toBe('ann')
    expect(hashes.made).toBe(1)
  })

  it('are hashed one at a time', async () => {
    for (let n = 0; n < 4; n++) accounts.set(`user${n}`, person('right'))
    await Promise.all([0, 1, 2, 3].map((n) => nameOf(basic(`user${n}`, 'right'), `10.0.0.${n}`)))
    expect(hashes).toMatchObject({ made: 4, most: 1 })
  })

  it.each<[string, (accounts: TestAccounts) => void]>([
    ['the password changed', (accounts) => accounts.set('ann', person('other'))],
    ['the account was disabled', (accounts) => accounts.set('ann', person('right', { disabledMs: 1 }))],
    ['the account was removed', (accounts) => accounts.set('ann', undefined)],
  ])('that were right are so no more once %s', async (_, change) => {
    await nameOf(basic('ann', 'right'))
    change(accounts)
    await expect(nameOf(basic('ann', 'right'))).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('that were right for an account are not so for another that got its name', async () => {
    await nameOf(basic('ann', 'right'))
    accounts.set('ann', undefined)
    accounts.set('ann', person('another person’s'))
    await expect(nameOf(basic('ann', 'right'))).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('of an account that changes while they are looked at are wrong', async () => {
    const checking = nameOf(basic('ann', 'right'))
    accounts.set('ann', person('other'))
    await expect(checking).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })
})

describe('a robot', () => {
  it('signs in by its secret, without a password hash, until it expires', async () => {
    const secret = makeSecret()
    accounts.set('robot$deploy', robot(secret, { expiresMs: accounts.clock.ms + 1000 }))
    expect(await nameOf(basic('robot$deploy', secret))).toBe('robot$deploy')
    expect(hashes.made).toBe(0)
    accounts.clock.ms += 1000
    await expect(nameOf(basic('robot$deploy', secret))).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('is kept out by nobody who tries its name, from anywhere, or who keeps the hashes busy', async () => {
    const secret = makeSecret()
    accounts.set('robot$deploy', robot(secret))
    for (let n = 0; n < 100; n++) {
      await refusalOf(basic('robot$deploy', `wrong${n}`), `10.0.0.${n}`)
      await refusalOf(basic('robot$deploy', `wrong${n}`))
    }
    expect(await refusalOf(basic('robot$deploy', 'wrong'))).toMatchObject({ code: 'TOOMANYREQUESTS' })
    const guesses = Array.from({ length: 100 }, (_, n) =>
      refusalOf(basic(`user${n}`, 'wrong'), `10.0.1.${n}`),
    )
    expect(await nameOf(basic('robot$deploy', secret))).toBe('robot$deploy')
    await Promise.all(guesses)
  })

  it('has a secret of 256 bits, of which the record has the hash alone', () => {
    const secret = makeSecret()
    expect(Buffer.from(secret.slice('shoal_'.length), 'base64url')).toHaveLength(32)
    const record = Buffer.from(hashSecret(secret))
    expect(record.includes(secret)).toBe(false)
  })
})

it('keeps of a password its hash and what it takes to make that again', async () => {
  const hash = await hashPassword('correct horse')
  expect(hash).toMatchObject({ algorithm: 'argon2id', memoryKib: 19_456, passes: 2, lanes: 1 })
  expect((await hashPassword('correct horse')).salt).not.toEqual(hash.salt)
})

describe('who guesses', () => {
  it('gets the same answer, after the same work, for a name that there is not', async () => {
    accounts.set('out', person('right', { disabledMs: 1 }))
    const tries = [
      basic('ann', 'wrong'),
      basic('nobody', 'wrong'),
      basic('out', 'right'),
      basic('Ann!', 'wrong'),
    ]
    const answers = []
    for (const authorization of tries) answers.push(await refusalOf(authorization))
    const [first] = answers
    for (const answer of answers) expect(answer).toMatchObject({ message: (first as Error).message })
    expect(hashes.made).toBe(tries.length)
  })

  it('has to wait after some failures, and costs no hash meanwhile', async () => {
    for (let n = 0; n < 1000; n++) await refusalOf(basic('ann', `wrong${n}`))
    expect(hashes.made).toBe(10)
    expect(await refusalOf(basic('ann', 'once more'))).toMatchObject({
      code: 'TOOMANYREQUESTS',
      retryAfterMs: 6_000,
    })
    accounts.clock.ms += 6_000
    expect(await refusalOf(basic('ann', 'once more'))).toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('has to wait whatever names are tried from one address', async () => {
    for (let n = 0; n < 1000; n++) await refusalOf(basic(`user${n}`, 'wrong'))
    expect(hashes.made).toBe(20)
  })

  it('has to wait whatever addresses one name is tried from', async () => {
    for (let n = 0; n < 1000; n++) await refusalOf(basic('ann', `wrong${n}`), `10.0.${n >> 8}.${n & 255}`)
    expect(hashes.made).toBe(10)
  })

  it('has to wait whatever it makes up that no account can be called', async () => {
    for (let n = 0; n < 100; n++) await refusalOf(basic(`${n}!${'x'.repeat(2000)}`, 'wrong'), `10.0.0.${n}`)
    expect(hashes.made).toBe(10)
  })

  it('is asked for one hash, and counted once, for the same wrong password, until some account changes', async () => {
    const old = basic('ann', 'of before')
    const foreign = basic('hub-user', 'hub password')
    for (let n = 0; n < 100; n++)
      for (const wrong of [old, foreign])
        expect(await refusalOf(wrong)).toMatchObject({ code: 'UNAUTHORIZED' })
    expect(hashes.made).toBe(2)
    expect(await nameOf(basic('ann', 'right'))).toBe('ann')
    accounts.set('bob', person('right'))
    for (const wrong of [old, foreign]) await refusalOf(wrong)
    expect(hashes.made).toBe(5)
    accounts.set('ann', person('of before'))
    expect(await nameOf(old)).toBe('ann')
  })

  it('keeps nobody out who signed in before from another address', async () => {
    await nameOf(basic('ann', 'right'), 'home')
    accounts.set('ann', person('changed'))
    for (let n = 0; n < 100; n++) await refusalOf(basic('ann', `wrong${n}`), `10.0.0.${n}`)
    expect(await nameOf(basic('ann', 'changed'), 'home')).toBe('ann')
  })

  it('keeps others out for minutes at most, however long a known host has tried an old password', async () => {
    await nameOf(basic('ann', 'right'), 'home')
    accounts.set('ann', person('changed'))
    for (let n = 0; n < 300; n++) {
      await refusalOf(basic('ann', 'right'), 'home')
      accounts.clock.ms += 3_000
    }
    accounts.clock.ms += 7 * 60_000
    expect(await nameOf(basic('ann', 'changed'), 'office')).toBe('ann')
  })

  it('does not fill the queue of those that wait for a hash', async () => {
    const many = Array.from({ length: 100 }, (_, n) => refusalOf(basic(`user${n}`, 'wrong'), 'flood'))
    const other = nameOf(basic('ann', 'right'), 'home')
    expect(await other).toBe('ann')
    const answers = (await Promise.all(many)) as { code: string }[]
    expect(answers.filter(({ code }) => code === 'UNAUTHORIZED')).toHaveLength(4)
  })
})

it('has room for who signed in from there before, whatever a thousand addresses guess', async () => {
  await nameOf(basic('ann', 'right'), 'home')
  accounts.set('ann', person('changed'))
  const guesses = Array.from({ length: 1000 }, (_, n) => refusalOf(basic(`user${n}`, 'x'), `net ${n}`))
  const office = refusalOf(basic('ann', 'changed'), 'office')
  expect(await nameOf(basic('ann', 'changed'), 'home')).toBe('ann')
  expect(await office).toMatchObject({ code: 'TOOMANYREQUESTS', retryAfterMs: 1000 })
  await Promise.all(guesses)
  expect(await nameOf(basic('ann', 'changed'), 'office')).toBe('ann')
})

describe('what a connection showed', () => {
  it('is known again on it alone, for the same bytes alone, and while the account stands', async () => {
    const [connection, other] = [{}, {}]
    const right = basic('ann', 'right')
    const on = (where: object, what = right) => access.recallOn(where, what)?.name
    for (let turn = 0; turn < 2; turn++) await access.identify(right, here, connection)
    expect([on(connection), on(other), on(connection, `${right} `)]).toEqual(['ann', undefined, undefined])
    accounts.set('bob', person('right'))
    for (let turn = 0; turn < 2; turn++) await access.identify(basic('bob', 'right'), here, connection)
    expect([on(connection), on(connection, basic('bob', 'right'))]).toEqual([undefined, 'bob'])
    for (const change of [person('right', { disabledMs: 1 }), person('another'), undefined]) {
      accounts.set('ann', person('right'))
      for (let turn = 0; turn < 2; turn++) await access.identify(right, here, connection)
      expect(on(connection)).toBe('ann')
      accounts.set('ann', change)
      expect(on(connection)).toBeUndefined()
    }
  })

  it('is nothing while it is wrong', async () => {
    const connection = {}
    for (let turn = 0; turn < 2; turn++)
      await expect(access.identify(basic('ann', 'wrong'), here, connection)).rejects.toThrow()
    expect(access.recallOn(connection, basic('ann', 'wrong'))).toBeUndefined()
  })
})

describe('a bearer token', () => {
  const bearer = (token: string): string => `Bearer ${token}`
  const tokenOf = async (authorization: string | undefined): Promise<string> =>
    access.issueToken(await access.identify(authorization, here)).token

  it('stands for who got it for a quarter of an hour', async () => {
    const token = await tokenOf(basic('ann', 'right'))
    expect(await nameOf(bearer(token))).toBe('ann')
    expect(await nameOf(bearer(await tokenOf(undefined)))).toBeUndefined()
    accounts.clock.ms += 15 * 60_000
    await expect(nameOf(bearer(token))).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('does not outlive the account, nor its password', async () => {
    const token = await tokenOf(basic('ann', 'right'))
    accounts.set('ann', person('right'))
    await expect(nameOf(bearer(token))).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
    const next = await tokenOf(basic('ann', 'right'))
    accounts.set('ann', undefined)
    await expect(nameOf(bearer(next))).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('is good at the node that gave it alone, and as it was given', async () => {
    const token = await tokenOf(basic('ann', 'right'))
    const other = await openAccess({ names: accounts })
    await expect(other.identify(bearer(token), here)).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
    const [body = '', signature = ''] = token.split('.')
    const forged = Buffer.from(Buffer.from(body, 'base64url').toString().replace('ann', 'bob')).toString(
      'base64url',
    )
    for (const wrong of [`${forged}.${signature}`, `${body}.`, `${body}.${'a'.repeat(64)}`, `.${signature}`])
      await expect(nameOf(bearer(wrong))).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })
})

it('looks at nobody’s credentials while there are no accounts and no rules', async () => {
  const none = new TestAccounts()
  const open = await openAccess({ names: none })
  expect(open.isOn).toBe(false)
  expect(open.identify(basic('ann', 'wrong'), here)).toMatchObject({ names: ['anonymous'] })
  none.set('ann', person('right'))
  expect(open.isOn).toBe(true)
})
