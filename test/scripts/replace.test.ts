import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { replaceBuild } from '../../scripts/program/replace.ts'

const dayMs = 24 * 60 * 60 * 1000
const keepMs = 7 * dayMs

describe('a build that takes the place of another', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'shoal-replace-'))
    mkdirSync(join(folder, 'output'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  function build(day: number, chunk: string, options: { keepMs?: number }): string[] {
    const made = join(folder, `made-${day}`)
    mkdirSync(made)
    for (const name of ['main.js', 'same.js', chunk])
      writeFileSync(join(made, name), name === 'same.js' ? '' : chunk)
    replaceBuild(made, join(folder, 'output'), { begun: new Date(day * dayMs), ...options })
    return readdirSync(join(folder, 'output')).sort()
  }

  it('leaves a node that runs from it what that has yet to load, for a week from then on', () => {
    build(100, 'page-A.js', { keepMs })
    expect(build(200, 'page-B.js', { keepMs })).toEqual(['main.js', 'page-A.js', 'page-B.js', 'same.js'])
    expect(build(203, 'page-C.js', { keepMs })).toContain('page-A.js')
    expect(build(208, 'page-D.js', { keepMs })).toEqual([
      'main.js',
      'page-B.js',
      'page-C.js',
      'page-D.js',
      'same.js',
    ])
  })

  it('leaves nothing over where it is to be published', () => {
    build(100, 'page-A.js', { keepMs })
    build(101, 'page-B.js', { keepMs })
    expect(build(102, 'page-C.js', {})).toEqual(['main.js', 'page-C.js', 'same.js'])
  })
})
