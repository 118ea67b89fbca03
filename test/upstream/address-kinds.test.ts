import type { LookupAddress } from 'node:dns'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { kindOfAddress, kindOfHost } from '../../src/upstream/address-kinds.ts'
import { guardedLookup, isReferable } from '../../src/upstream/guard.ts'

describe('the kind of an address', () => {
  it.each([
    ['8.8.8.8', 'public'],
    ['172.15.255.255', 'public'],
    ['172.16.0.0', 'private'],
    ['172.32.0.0', 'public'],
    ['10.255.255.255', 'private'],
    ['192.168.0.1', 'private'],
    ['100.64.0.1', 'private'],
    ['100.128.0.1', 'public'],
    ['198.18.0.1', 'private'],
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['169.254.169.254', 'link-local'],
    ['0.0.0.0', 'reserved'],
    ['224.0.0.1', 'reserved'],
    ['255.255.255.255', 'reserved'],
    ['2606:4700::1111', 'public'],
    ['::1', 'loopback'],
    ['::', 'reserved'],
    ['fe80::1', 'link-local'],
    ['fe80::1%eth0', 'link-local'],
    ['fd12:3456::1', 'private'],
    ['ff02::1', 'reserved'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:a9fe:a9fe', 'link-local'],
    ['::127.0.0.1', 'loopback'],
    ['64:ff9b::10.0.0.1', 'private'],
    ['64:ff9b::8.8.8.8', 'public'],
    ['64:ff9b:1::1', 'private'],
    ['2002:7f00:1::', 'loopback'],
    ['2002:808:808::1', 'public'],
    ['2001:0:4136:e378::', 'reserved'],
    ['', 'reserved'],
    ['localhost', 'reserved'],
    ['127.1', 'reserved'],
  ])('%s is %s', (address, kind) => {
    expect(kindOfAddress(address)).toBe(kind)
  })

  it('is the same however an IPv4 address is wrapped', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        for (const prefix of ['::ffff:', '64:ff9b::']) {
          expect(kindOfAddress(`${prefix}${address}`)).toBe(kindOfAddress(address))
        }
      }),
    )
  })

  it('is one for every text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV6(), fc.string()), (address) => {
        expect(['public', 'private', 'loopback', 'link-local', 'reserved']).toContain(kindOfAddress(address))
      }),
    )
  })

  it('is known of hosts that say it themselves', () => {
    expect(['[::1]', '127.0.0.1', 'localhost', 'LOCALHOST.', 'a.localhost'].map(kindOfHost)).toEqual(
      Array(5).fill('loopback'),
    )
    expect(['example.com', 'localhost.example.com', 'notlocalhost'].map(kindOfHost)).toEqual(
      Array(3).fill(undefined),
    )
  })
})

describe('who may refer where', () => {
  it('is to outside, and to the own kind', () => {
    expect(isReferable('public', 'private')).toBe(true)
    expect(isReferable('private', 'private')).toBe(true)
    expect(isReferable('loopback', 'private')).toBe(false)
    expect(isReferable('private', 'public')).toBe(false)
    expect(isReferable('loopback', undefined)).toBe(false)
    expect(isReferable('reserved', 'reserved')).toBe(false)
  })

  const lookUp = (own: 'public' | 'loopback', all: boolean) =>
    new Promise<string | LookupAddress[]>((resolve, reject) => {
      guardedLookup(() => own)('localhost', { all }, (error, addresses) => {
        if (error === null) resolve(addresses)
        else reject(error)
      })
    })

  it('is looked at after a name is looked up, and before anything is sent', async () => {
    await expect(lookUp('public', true)).rejects.toMatchObject({ code: 'FORBIDDEN_ADDRESS' })
    await expect(lookUp('public', false)).rejects.toMatchObject({ code: 'FORBIDDEN_ADDRESS' })
    expect(await lookUp('loopback', true)).toContainEqual(expect.objectContaining({ address: '127.0.0.1' }))
    expect(['127.0.0.1', '::1']).toContain(await lookUp('loopback', false))
  })
})
