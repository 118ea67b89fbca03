import { describe, expect, it } from 'vitest'
import { fitsPlatform, formatPlatform, type Platform, parsePlatform } from '../../src/oci/oci.ts'

const platform = (text: string): Platform => {
  const parsed = parsePlatform(text)
  if (parsed === undefined) throw new Error(`${text} is a platform`)
  return parsed
}

describe('parsePlatform', () => {
  it.each(['linux/amd64', 'linux/arm/v7', 'windows/amd64'])('reads %s and writes it again', (text) => {
    expect(formatPlatform(platform(text))).toBe(text)
  })

  it.each([
    '',
    'linux',
    'linux/',
    '/arm64',
    'linux/arm/v7/x',
    'Linux/amd64',
    'linux/../arm',
    'linux/ar m',
    'a\0/b',
  ])('refuses %j', (text) => {
    expect(parsePlatform(text)).toBeUndefined()
  })
})

describe('fitsPlatform', () => {
  it.each([
    ['linux/arm64', 'linux/arm64', true],
    ['linux/arm64', 'linux/arm64/v8', true],
    ['linux/arm64/v8', 'linux/arm64', true],
    ['linux/arm', 'linux/arm/v6', true],
    ['linux/arm/v7', 'linux/arm', true],
    ['linux/arm/v6', 'linux/arm', false],
    ['linux/arm/v7', 'linux/arm/v6', false],
    ['linux/amd64', 'linux/arm64', false],
    ['linux/amd64', 'windows/amd64', false],
  ])('%s asked, %s given: %s', (wanted, given, fits) => {
    expect(fitsPlatform(platform(wanted), platform(given))).toBe(fits)
  })
})
