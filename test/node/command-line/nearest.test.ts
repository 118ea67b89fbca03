import { describe, expect, it } from 'vitest'
import { nearest } from '../../../node/command-line/nearest.ts'

describe('the nearest known word', () => {
  const known = ['serve', 'status', 'token', 'tag', 'rm', 'ls', 'dry-run', 'completion']

  it.each([
    ['stauts', 'status'],
    ['sttus', 'status'],
    ['STATUS', 'status'],
    ['tokens', 'token'],
    ['tga', 'tag'],
    ['dryrun', 'dry-run'],
    ['compleiton', 'completion'],
  ])('of %s is %s', (word, meant) => {
    expect(nearest(word, known)).toBe(meant)
  })

  it.each(['', 'frobnicate', 'push', 'xy'])('of %j is none', (word) => {
    expect(nearest(word, known)).toBeUndefined()
  })
})
