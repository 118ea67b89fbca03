import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isLeftover, replaceBuild } from '../../scripts/program/replace.ts'

const dayMs = 24 * 60 * 60 * 1000

describe('a build that takes the place of another', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'shoal-replace-'))
    mkdirSync(join(folder, 'output'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  function build(day: number, chunk: string): string[] {
    const made = join(folder, `made-${day}`)
    mkdirSync(made)
    for (const name of ['main.js', 'same.js', chunk])
      writeFileSync(join(made, name), name === 'same.js' ? '' : chunk)
    replaceBuild(made, join(folder, 'output'), new Date(day * dayMs))
    return readdirSync(join(folder, 'output')).filter((name) => name.endsWith('.js'))
  }

  it('leaves a node that runs from it what that has yet to load, for a week from then on', () => {
    build(100, 'page-A.js')
    expect(build(200, 'page-B.js')).toEqual(['main.js', 'page-A.js', 'page-B.js', 'same.js'])
    expect(build(203, 'page-C.js')).toContain('page-A.js')
    expect(build(208, 'page-D.js')).toEqual(['main.js', 'page-B.js', 'page-C.js', 'page-D.js', 'same.js'])
  })

  it('names what is left over, which no package holds', () => {
    const output = join(folder, 'output')
    build(100, 'page-A.js')
    build(101, 'page-B.js')
    expect(readFileSync(join(output, '.npmignore'), 'utf8')).toBe('page-A.js\n')
    expect(readdirSync(output).filter((name) => !isLeftover(output, name))).toEqual([
      'main.js',
      'page-B.js',
      'same.js',
    ])
    build(109, 'page-A.js')
    expect(readFileSync(join(output, '.npmignore'), 'utf8')).toBe('page-B.js\n')
  })
})
